// edit: a person's editor on a drop-in or on the whole file, then a reload.
#include <cstdlib>

#include <fmt/core.h>
#include <poll.h>
#include <unistd.h>

#include "bus/object_path.hpp"
#include "ctl/verbs.hpp"
#include "runtime/posix_files.hpp"
#include "sys/clone.hpp"
#include "sys/fd.hpp"

namespace pidward::ctl {
namespace {

std::string editor() {
  for (const char* name : {"PIDWARD_EDITOR", "SYSTEMD_EDITOR", "EDITOR", "VISUAL"}) {
    const char* value = std::getenv(name);
    if (value != nullptr && *value != '\0') return value;
  }
  return "editor";
}

struct EditorCommand {
  std::string script;
  std::string path;
};

/// In a child with a copy of our memory: the words of $EDITOR go through sh, as everywhere.
int run_editor(void* argument) {
  const auto* command = static_cast<const EditorCommand*>(argument);
  ::execl("/bin/sh", "sh", "-c", command->script.c_str(), "sh", command->path.c_str(),
          static_cast<char*>(nullptr));
  return 127;
}

/// Waits until the person is done. Errors: the editor failed.
Status edit_file(const std::string& path) {
  EditorCommand command{.script = editor() + " \"$1\"", .path = path};
  PIDWARD_TRY(const sys::ChildStack stack, sys::ChildStack::create(256 * 1024));
  PIDWARD_TRY(const sys::Child child,
              sys::spawn_on_stack({.share_memory = false}, stack, run_editor, &command));
  for (;;) {
    PIDWARD_TRY(const auto end, child.pidfd.reap());
    if (end) {
      if (end->status.is_success()) return {};
      return Error(Errc::failed,
                   fmt::format("the editor '{}' failed: {}", editor(), end->status.to_string()));
    }
    pollfd wait{.fd = child.pidfd.get(), .events = POLLIN};
    if (::poll(&wait, 1, -1) < 0 && errno != EINTR) return Error::from_errno(errno, "poll");
  }
}

bool is_blank(const std::string& text) {
  return text.find_first_not_of(" \t\r\n") == std::string::npos;
}

/// Lets the person edit a copy beside `target`, then puts it in its place. False: nothing to keep.
Result<bool> edit_copy(const std::string& target, const std::string& content) {
  const std::size_t slash = target.rfind('/');
  const std::string directory = target.substr(0, slash);
  PIDWARD_CHECK(runtime::make_directories(directory));
  const std::string copy =
      fmt::format("{}/.#{}.{}", directory, target.substr(slash + 1), ::getpid());
  PIDWARD_CHECK(runtime::replace_file(copy, content));
  const Status edited = edit_file(copy);
  auto text = sys::read_file(copy);
  ::unlink(copy.c_str());
  if (!edited || !text || is_blank(*text)) {
    ::rmdir(directory.c_str());  // only if we made it and nothing is in it
    if (!edited) return edited.error();
    if (!text) return text.error();
    return false;
  }
  PIDWARD_CHECK(runtime::replace_file(target, *text));
  return true;
}

std::optional<unit::UnitName> template_of(const std::string& text) {
  auto name = unit::UnitName::parse(text);
  return name && name->is_template() ? std::optional(*std::move(name)) : std::nullopt;
}

/// The unit's own file; empty: there is none.
Result<std::string> fragment_of(Session& session, const std::string& unit) {
  if (const auto name = template_of(unit)) {
    const unit::UnitSpecPtr found = load_template(session, *name);
    return found ? found->fragment->path : std::string();
  }
  PIDWARD_TRY(const bus::Data path,
              session.client().property(bus::unit_path(unit), bus::kUnitInterface, "FragmentPath"));
  return path.text;
}

/// What the loader says of the files as they are now.
void print_complaints(Session& session, const std::string& unit) {
  if (const auto name = template_of(unit)) {
    const unit::UnitSpecPtr found = load_template(session, *name);
    if (!found) return;
    for (const unit::Diagnostic& each : found->diagnostics) {
      fmt::print(stderr, "{}\n", each.to_string());
    }
    return;
  }
  const auto found =
      session.client().property(bus::unit_path(unit), bus::kUnitInterface, "Diagnostics");
  if (found) print_diagnostics(*found, Told::all);
}

Result<std::string> target_file(Session& session, const std::string& unit,
                                const std::string& fragment) {
  const char* property = session.options().runtime ? "UnitRuntimeDirectory" : "UnitConfigDirectory";
  PIDWARD_TRY(const bus::Data directory,
              session.client().property(bus::kManagerPath, bus::kManagerInterface, property));
  if (directory.text.empty()) {
    return Error(Errc::not_supported, "this pidward has no directory for changes of units");
  }
  if (!session.options().full) return fmt::format("{}/{}.d/override.conf", directory.text, unit);
  return fmt::format("{}/{}{}", directory.text, unit, fragment.ends_with(".yaml") ? ".yaml" : "");
}

int edit_unit(Session& session, const std::string& unit) {
  const auto fragment = fragment_of(session, unit);
  if (!fragment) return report(fragment.error());
  const bool exists = !fragment->empty();
  if (!exists && !session.options().force) {
    complain(fmt::format("No files found for {}. Use --force --full to make it.", unit));
    return kFailure;
  }
  const auto target = target_file(session, unit, *fragment);
  if (!target) return report(target.error());
  const std::string source = session.options().full && exists ? *fragment : *target;
  const auto before = sys::read_file(source);
  const auto kept = edit_copy(*target, before ? *before : std::string());
  if (!kept) return report(kept.error());
  if (!*kept) {
    complain(fmt::format("Editing of {} canceled: the file is empty.", unit));
    return kFailure;
  }
  const auto reloaded = session.client().manager("Reload");
  if (!reloaded) return report(reloaded.error());
  print_complaints(session, unit);
  return kSuccess;
}

}  // namespace

int run_edit(Session& session) {
  int status = kSuccess;
  const std::vector<std::string> names = session.unit_names(status);
  if (names.empty()) {
    complain("edit needs the name of a unit");
    return kFailure;
  }
  for (const std::string& unit : names) {
    const int edited = edit_unit(session, unit);
    if (edited != kSuccess) status = edited;
  }
  return status;
}

}  // namespace pidward::ctl
