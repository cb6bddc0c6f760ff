// run: a command as a transient service.
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>

#include <fmt/core.h>
#include <nlohmann/json.hpp>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bus/object_path.hpp"
#include "ctl/job_waiter.hpp"
#include "ctl/outcome.hpp"
#include "ctl/verbs.hpp"
#include "exec/surroundings.hpp"
#include "unit/name.hpp"
#include "unit/unit_path.hpp"

namespace pidward::ctl {
namespace {

constexpr auto kWake = std::chrono::milliseconds(15000);

/// A name nobody else has: "run-r" and 128 random bits.
Result<std::string> unique_name() {
  std::array<unsigned char, 16> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return Error::from_errno(errno, "getrandom");
  }
  std::string name = "run-r";
  for (const unsigned char byte : bytes) name += fmt::format("{:02x}", byte);
  return name + ".service";
}

Result<std::string> unit_name(const Options& options) {
  if (options.unit.empty()) return unique_name();
  PIDWARD_TRY(const unit::UnitName name, unit::UnitName::mangle(options.unit));
  if (name.type() == unit::UnitType::service) return name.str();
  return Error(Errc::invalid_argument,
               fmt::format("run makes services; {} is the name of another type", name.str()));
}

/// Where the program is, for the daemon: its own directory means nothing there.
Result<std::string> program_path(const std::string& typed) {
  if (typed.starts_with('/') || typed.find('/') == std::string::npos) return typed;
  std::array<char, 4096> here{};
  if (::getcwd(here.data(), here.size()) == nullptr) return Error::from_errno(errno, "getcwd");
  return std::string(here.data()) + "/" + typed;
}

bool is_missing(const std::string& path) {
  return ::access(path.c_str(), F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR);
}

/// Directories the daemon looks for programs in. That of a user has the $PATH it was started with,
/// which is ours as a rule; which of the two a socket leads to is not known.
std::vector<std::string> program_directories(const bus::ClientOptions& place) {
  std::vector<std::string> directories = unit::split_unit_path(exec::kDefaultPath);
  const char* path = std::getenv("PATH");
  const bool may_be_users = place.user || !place.socket.empty() || !place.runtime_dir.empty() ||
                            std::getenv("PIDWARD_RUNTIME_DIR") != nullptr;
  if (!may_be_users || path == nullptr) return directories;
  for (std::string& each : unit::split_unit_path(path)) directories.push_back(std::move(each));
  return directories;
}

/// Says at once what a unit would come to fail for. Where settings change what the program's path
/// means, only the unit can tell.
Status check_program(const Options& options, const std::string& program) {
  for (const std::string& setting : options.properties) {
    for (const std::string_view elsewhere : {"RootDirectory=", "RootImage=", "ExecSearchPath="}) {
      if (setting.starts_with(elsewhere)) return {};
    }
  }
  if (program.find('/') != std::string::npos) {
    if (!is_missing(program)) return {};
    return Error(Errc::not_found, fmt::format("there is no program {}", program));
  }
  const std::vector<std::string> directories = program_directories(options.place);
  const bool is_nowhere = std::all_of(
      directories.begin(), directories.end(),
      [&](const std::string& directory) { return is_missing(directory + "/" + program); });
  if (!is_nowhere) return {};
  return std::move(Error(Errc::not_found,
                         fmt::format("there is no program {} in {}", program, exec::kDefaultPath)))
      .advise("Give its path, or where it is with -p ExecSearchPath=");
}

std::string join(const std::vector<std::string>& words) {
  std::string line;
  for (const std::string& word : words) line += (line.empty() ? "" : " ") + word;
  return line;
}

struct Command {
  std::string unit;
  std::string program;
  std::vector<std::pair<std::string, std::string>> settings;
};

void write_text(bus::Writer& out, const char* name, std::string_view text) {
  out.open_struct("sv").s(name).open_variant("s").s(text).close().close();
}

void write_request(bus::Writer& out, const Options& options, const Command& command) {
  out.s(command.unit).s("fail").open_array("(sv)");
  write_text(out, "Description",
             options.description.empty() ? join(options.names) : options.description);
  if (options.collect) write_text(out, "CollectMode", "inactive-or-failed");
  if (!options.no_block) {
    // Until we have said what became of it.
    out.open_struct("sv").s("AddRef").open_variant("b").b(true).close().close();
  }
  if (options.pipe) {
    constexpr const char* kNames[] = {"StandardInputFileDescriptor", "StandardOutputFileDescriptor",
                                      "StandardErrorFileDescriptor"};
    for (int fd = 0; fd < 3; ++fd) {
      out.open_struct("sv").s(kNames[fd]).open_variant("h").h(fd).close().close();
    }
  }
  out.open_struct("sv").s("Assignments").open_variant("a(ss)").open_array("(ss)");
  for (const auto& [directive, text] : command.settings) {
    out.open_struct("ss").s(directive).s(text).close();
  }
  out.close().close().close();
  // As it was typed: the person's shell has expanded what there was to expand.
  out.open_struct("sv").s("ExecStartEx").open_variant("a(sasas)").open_array("(sasas)");
  out.open_struct("sasas").s(command.program).as(options.names);
  out.as(std::vector<std::string>{"no-env-expand"}).close();
  out.close().close().close();
  out.close().open_array("(sa(sv))").close();
}

/// With --json, what became of the unit: where the command does not write, which with --pipe has
/// our standard output to itself.
void tell(const Options& options, const nlohmann::json& outcome) {
  if (!options.json) return;
  if (options.pipe) {
    fmt::print(stderr, "{}\n", outcome.dump());
  } else {
    say_json(outcome);
  }
}

/// Until the unit has ended; the exit code of its command, as far as it had one.
int wait_for_end(Session& session, const std::string& unit) {
  for (;;) {
    const auto all = session.client().properties(bus::unit_path(unit));
    if (!all) return session.fail(all.error());
    const std::string& state = all->text("ActiveState");
    const bool has_job = !all->data("Job").items.empty() && all->data("Job").items[0].number != 0;
    if (has_job || (state != "inactive" && state != "failed")) {
      // PropertiesChanged of the unit wakes us.
      const auto came = session.client().process(kWake);
      if (!came) return session.fail(came.error());
      continue;
    }
    const std::uint64_t code = all->number("ExecMainCode");
    const auto status = static_cast<int>(all->data("ExecMainStatus").integer());
    if (!session.options().quiet) {
      fmt::print(stderr, "Finished with result: {}\n", all->text("Result"));
      if (code != 0) fmt::print(stderr, "Main process: {}\n", exit_text(code, status));
    }
    const bool ended_well = all->text("Result") == "success";
    // What is a success is the unit's to say: SuccessExitStatus=.
    const int exit = ended_well                 ? kSuccess
                     : code != 0 && status != 0 ? exit_code_of_process(code, status)
                                                : kFailure;
    nlohmann::json told;
    add_process_end(told, code, status);
    told["unit"] = unit;
    told["result"] = all->text("Result");
    told["exit"] = exit;
    tell(session.options(), told);
    return exit;
  }
}

}  // namespace

int run_run(Session& session) {
  const Options& options = session.options();
  if (options.names.empty()) {
    return session.fail("run needs a command: pidwardctl run [OPTIONS] -- COMMAND [ARGUMENTS]");
  }
  Command command;
  auto name = unit_name(options);
  if (!name) return session.fail(name.error());
  command.unit = *std::move(name);
  auto program = program_path(options.names[0]);
  if (!program) return session.fail(program.error());
  command.program = *std::move(program);
  if (const Status found = check_program(options, command.program); !found) {
    return session.fail(found.error());
  }
  auto settings = parse_assignments(options.properties);
  if (!settings) return session.fail(settings.error());
  command.settings = *std::move(settings);

  const bool stays = options.wait || options.pipe || options.hold;
  JobWaiter waiter(session);
  if (const Status watching = waiter.watch(); !watching) {
    return session.fail(watching.error());
  }
  const char* method = options.hold ? "HoldTransientUnit" : "StartTransientUnit";
  const auto answer = session.client().manager(
      method, [&](bus::Writer& out) { write_request(out, options, command); });
  if (!answer) return session.fail(answer.error());
  bus::Reader in(answer->get());
  const std::string job = in.o();
  // Held for as long as we live, and no longer.
  const sys::Fd lease = options.hold ? in.h() : sys::Fd();
  if (!options.quiet) fmt::print(stderr, "Running as unit: {}\n", command.unit);
  if (options.no_block && !options.hold) {
    tell(options, {{"unit", command.unit}, {"result", "queued"}});
    return kSuccess;
  }
  if (stays) return wait_for_end(session, command.unit);
  waiter.add(job, command.unit);
  const int started = waiter.wait("start");
  tell(options, {{"unit", command.unit}, {"result", started == kSuccess ? "started" : "failed"}});
  return started;
}

}  // namespace pidward::ctl
