// verify: everything that is wrong with unit files, at once, without a daemon.
#include <algorithm>
#include <cstdlib>

#include <fmt/core.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "ctl/verbs.hpp"
#include "exec/surroundings.hpp"
#include "runtime/posix_files.hpp"
#include "runtime/system_facts.hpp"
#include "unit/loader.hpp"
#include "unit/unit_path.hpp"

namespace pidward::ctl {
namespace {

using Severity = unit::Diagnostic::Severity;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : value;
}

unit::LoaderContext context_of(const Options& options, const runtime::PosixFileSource& files) {
  const unit::Scope scope = options.place.user ? unit::Scope::user : unit::Scope::system;
  unit::LoaderContext context{.files = &files, .scope = scope};
  context.path = unit::make_search_path(
      {.scope = scope,
       .home = environment("HOME"),
       .xdg_config_home = environment("XDG_CONFIG_HOME"),
       .xdg_data_home = environment("XDG_DATA_HOME"),
       .xdg_runtime_dir = environment("XDG_RUNTIME_DIR"),
       .override_path = unit::split_unit_path(environment("PIDWARD_UNIT_PATH"))});
  context.specifiers = runtime::specifier_context(scope);
  context.strict = true;
  return context;
}

/// Whether the unit would find the program: a name without '/' is looked up in ExecSearchPath=.
bool is_there(const unit::UnitSpec& spec, const std::string& program, int mode) {
  if (program.find('/') != std::string::npos) return ::access(program.c_str(), mode) == 0;
  std::vector<std::string> directories = spec.settings.words(unit::Directive::ExecSearchPath);
  if (directories.empty()) directories = unit::split_unit_path(exec::kDefaultPath);
  return std::any_of(directories.begin(), directories.end(), [&](const std::string& directory) {
    return ::access((directory + "/" + program).c_str(), mode) == 0;
  });
}

/// Programs that are not there: systemd finds out when it starts them, a deployment wants to know
/// before.
void check_programs(const unit::UnitSpec& spec, std::vector<unit::Diagnostic>& found) {
  for (const unit::Row& row : unit::directive_table()) {
    if (row.syntax != unit::Syntax::exec) continue;
    for (const unit::ExecCommand& command : spec.settings.commands(row.id)) {
      // With '-' a program may be missing.
      const bool checkable = !command.path.empty() && !command.ignore_failure &&
                             !spec.settings.is_set(unit::Directive::RootDirectory);
      if (!checkable || is_there(spec, command.path, X_OK)) continue;
      found.push_back(
          {.severity = Severity::error,
           .where = {.file = spec.fragment ? spec.fragment->path : spec.name.str(),
                     .line = command.line},
           .message = fmt::format(
               "{}=: {} {}", row.name, command.path,
               is_there(spec, command.path, F_OK) ? "is not executable" : "does not exist")});
    }
  }
}

/// A line that is left out changes what the unit does; a setting that has no effect yet is correct
/// all the same, and packaged units are full of them.
bool is_fault(const unit::Diagnostic& found) {
  return found.severity == Severity::error || found.severity == Severity::warning;
}

void print_text(const Session& session, const unit::Diagnostic& found) {
  const Color color = found.severity == Severity::error     ? Color::red
                      : found.severity == Severity::warning ? Color::yellow
                                                            : Color::none;
  fmt::print("{}: {}: {}{}{}\n", found.where.to_string(),
             session.paint(color, std::string(to_string(found.severity))), found.message,
             found.advice.empty() ? "" : "; ", found.advice);
}

void print_json(const std::vector<unit::Diagnostic>& all) {
  nlohmann::json list = nlohmann::json::array();
  for (const unit::Diagnostic& found : all) {
    list.push_back({{"severity", to_string(found.severity)},
                    {"file", found.where.file},
                    {"line", found.where.line},
                    {"column", found.where.column},
                    {"message", found.message},
                    {"advice", found.advice}});
  }
  fmt::print("{}\n", list.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

void add_error(std::vector<unit::Diagnostic>& all, const std::string& name,
               const std::string& text) {
  all.push_back({.severity = Severity::error, .where = {.file = name}, .message = text});
}

void check_one(const unit::UnitLoader& loader, const std::string& typed,
               std::vector<unit::Diagnostic>& all) {
  unit::UnitSpecPtr spec;
  if (typed.find('/') != std::string::npos || ::access(typed.c_str(), F_OK) == 0) {
    char* absolute = ::realpath(typed.c_str(), nullptr);
    if (absolute == nullptr) return add_error(all, typed, "there is no such file");
    const std::string path = absolute;
    std::free(absolute);  // NOLINT(cppcoreguidelines-no-malloc): realpath(3) allocates so
    spec = loader.load_file(path);
  } else {
    const auto name = unit::UnitName::mangle(typed);
    if (!name) return add_error(all, typed, name.error().to_string());
    spec = loader.load(*name);
    // A template is looked at as one of its instances, as where its file is named.
    if (name->is_template() && spec->fragment) spec = loader.load_file(spec->fragment->path);
  }
  all.insert(all.end(), spec->diagnostics.begin(), spec->diagnostics.end());
  const bool said = std::any_of(spec->diagnostics.begin(), spec->diagnostics.end(),
                                [](const auto& each) { return each.severity == Severity::error; });
  if (spec->load_state != unit::LoadState::loaded && !said) {
    const auto error = spec->load_error();
    add_error(all, typed,
              error ? error->to_string()
                    : fmt::format("the unit is {}", unit::to_string(spec->load_state)));
  }
  check_programs(*spec, all);
}

}  // namespace

int run_verify(Session& session) {
  if (session.options().names.empty()) {
    complain("verify needs unit files or the names of units");
    return kFailure;
  }
  const runtime::PosixFileSource files;
  const unit::UnitLoader loader(context_of(session.options(), files));
  std::vector<unit::Diagnostic> all;
  for (const std::string& name : session.options().names) check_one(loader, name, all);
  if (session.options().json) {
    print_json(all);
  } else {
    for (const unit::Diagnostic& found : all) print_text(session, found);
  }
  const bool failed = std::any_of(all.begin(), all.end(), is_fault);
  return failed ? kFailure : kSuccess;
}

}  // namespace pidward::ctl
