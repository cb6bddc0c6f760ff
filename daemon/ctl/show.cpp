// show, cat and logs.
#include <algorithm>
#include <cstdio>

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <unistd.h>

#include "bus/object_path.hpp"
#include "ctl/property_text.hpp"
#include "ctl/verbs.hpp"
#include "runtime/log_reader.hpp"
#include "sys/fd.hpp"

namespace pidward::ctl {
namespace {

std::vector<std::string> wanted_names(const Options& options) {
  std::vector<std::string> out;
  for (const std::string& list : options.properties) {
    std::size_t at = 0;
    while (at <= list.size()) {
      const std::size_t end = std::min(list.find(',', at), list.size());
      if (end > at) out.push_back(list.substr(at, end - at));
      at = end + 1;
    }
  }
  return out;
}

void show_one(const Session& session, const bus::Properties& all) {
  const std::vector<std::string> wanted = wanted_names(session.options());
  const auto line = [&](const std::string& name, const bus::Data& data) {
    for (const std::string& text : property_text(name, data)) {
      if (text.empty() && wanted.empty() && !session.options().all) continue;
      if (session.options().value) {
        fmt::print("{}\n", text);
      } else {
        fmt::print("{}={}\n", name, text);
      }
    }
  };
  if (wanted.empty()) {
    for (const auto& [name, data] : all.values) line(name, data);
    return;
  }
  for (const std::string& name : wanted) {
    if (all.has(name)) line(name, all.data(name));
  }
}

std::string json_of(const Session& session, const bus::Properties& all) {
  const std::vector<std::string> wanted = wanted_names(session.options());
  if (wanted.empty()) return to_json(all);
  bus::Properties some;
  for (const std::string& name : wanted) {
    if (all.has(name)) some.values[name] = all.data(name);
  }
  return to_json(some);
}

/// One value, whatever was asked for: an object for one unit, a list of them for several.
void print_json(const std::vector<std::string>& objects, bool is_list) {
  const std::string all = fmt::format("{}", fmt::join(objects, ",\n"));
  if (is_list) {
    fmt::print("[{}]\n", all);
  } else if (!all.empty()) {
    fmt::print("{}\n", all);
  }
}

}  // namespace

int run_show(Session& session) {
  int status = kSuccess;
  std::vector<std::string> paths;
  if (session.options().names.empty()) {
    paths.emplace_back(bus::kManagerPath);
  } else {
    for (const std::string& name : session.unit_names(status))
      paths.push_back(bus::unit_path(name));
  }
  std::vector<std::string> objects;
  bool first = true;
  for (const std::string& path : paths) {
    const auto all = session.client().properties(path);
    if (!all) {
      status = report(all.error());
      continue;
    }
    if (session.options().json) {
      objects.push_back(json_of(session, *all));
      continue;
    }
    if (!first) fmt::print("\n");
    first = false;
    show_one(session, *all);
  }
  // A pattern may stand for several.
  const std::vector<std::string>& typed = session.options().names;
  const bool is_one = typed.empty() || (typed.size() == 1 && paths.size() == 1);
  if (session.options().json) print_json(objects, !is_one);
  return status;
}

namespace {

/// The files of a unit, and whether they changed since they were loaded.
Result<std::pair<std::vector<std::string>, bool>> files_of(Session& session,
                                                           const std::string& name) {
  const auto parsed = unit::UnitName::parse(name);
  if (parsed && parsed->is_template()) {
    std::vector<std::string> files;
    const unit::UnitSpecPtr found = load_template(session, *parsed);
    if (!found) return std::pair(files, false);
    files.push_back(found->fragment->path);
    for (const unit::SourceFile& each : found->dropins) files.push_back(each.path);
    return std::pair(std::move(files), false);
  }
  PIDWARD_TRY(const bus::Properties all,
              session.client().properties(bus::unit_path(name), bus::kUnitInterface));
  std::vector<std::string> files = all.strings("DropInPaths");
  if (!all.text("FragmentPath").empty()) files.insert(files.begin(), all.text("FragmentPath"));
  return std::pair(std::move(files), all.flag("NeedDaemonReload"));
}

}  // namespace

int run_cat(Session& session) {
  if (session.lacks_names()) return kFailure;
  int status = kSuccess;
  bool first = true;
  for (const std::string& name : session.unit_names(status)) {
    const auto found = files_of(session, name);
    if (!found) {
      status = report(found.error());
      continue;
    }
    const auto& [files, changed] = *found;
    if (files.empty()) {
      complain(fmt::format("No files found for {}.", name));
      status = kFailure;
      continue;
    }
    if (changed) {
      fmt::print(stderr,
                 "Warning: the files of {} changed since they were loaded. Run 'pidwardctl "
                 "daemon-reload'.\n",
                 name);
    }
    for (const std::string& file : files) {
      const auto text = sys::read_file(file);
      if (!text) {
        status = report(text.error());
        continue;
      }
      const bool ended = text->empty() || text->back() == '\n';
      fmt::print("{}{}\n{}{}", first ? "" : "\n", session.paint(Color::grey, "# " + file), *text,
                 ended ? "" : "\n");
      first = false;
    }
  }
  return status;
}

namespace {

void print_line(const Session& session, const runtime::LogLine& line) {
  const Color color = line.level <= LogLevel::error     ? Color::red
                      : line.level == LogLevel::warning ? Color::yellow
                                                        : Color::none;
  // Byte for byte into a file or a filter, and nothing that acts on a person's terminal.
  static const bool raw = ::isatty(STDOUT_FILENO) == 0;
  fmt::print("{} {}[{}]: {}\n", runtime::format_wall_time(line.time), line.source, line.pid,
             session.paint(color, raw ? line.text : printable(line.text)));
}

int follow(const Session& session, std::vector<runtime::LogFollower> followers) {
  for (;;) {
    std::fflush(stdout);
    std::vector<pollfd> waits;
    for (const auto& follower : followers) waits.push_back({.fd = follower.fd(), .events = POLLIN});
    if (::poll(waits.data(), waits.size(), -1) < 0 && errno != EINTR) return kFailure;
    for (std::size_t i = 0; i < followers.size(); ++i) {
      const auto lines = followers[i].read_new();
      if (!lines) return report(lines.error());
      for (const runtime::LogLine& line : *lines) print_line(session, line);
    }
    if (std::ferror(stdout) != 0) return kSuccess;
  }
}

}  // namespace

int run_logs(Session& session) {
  if (session.options().json) return session.fail("logs prints lines of text, and no JSON");
  if (session.lacks_names()) return kFailure;
  int status = kSuccess;
  const std::vector<std::string> units = session.unit_names(status);
  if (units.empty()) return kFailure;
  const auto directory =
      session.client().property(bus::kManagerPath, bus::kManagerInterface, "LogDirectory");
  if (!directory) return report(directory.error());
  // Before the last lines are read: what comes meanwhile is the followers'.
  std::vector<runtime::LogFollower> followers;
  for (const std::string& unit : units) {
    if (!session.options().follow) break;
    auto follower = runtime::LogFollower::open(directory->text, unit);
    if (!follower) return report(follower.error());
    followers.push_back(*std::move(follower));
  }
  std::vector<runtime::LogLine> merged;
  for (std::size_t i = 0; i < units.size(); ++i) {
    const auto lines =
        runtime::read_last_log_lines(directory->text, units[i], session.options().lines,
                                     followers.empty() ? nullptr : &followers[i]);
    if (!lines) {
      status = report(lines.error());
      continue;
    }
    for (const runtime::LogLine& line : *lines) merged.push_back(line);
  }
  std::stable_sort(merged.begin(), merged.end(),
                   [](const auto& a, const auto& b) { return a.time < b.time; });
  for (const runtime::LogLine& line : merged) print_line(session, line);
  if (!session.options().follow) return status;
  return follow(session, std::move(followers));
}

}  // namespace pidward::ctl
