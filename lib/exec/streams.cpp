#include "exec/streams.hpp"

#include <cerrno>

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "exec/terminal.hpp"

namespace pidward::exec {
namespace {

using unit::Directive;
using unit::StandardInput;
using unit::StandardOutput;

constexpr int kNewFileMode = 0666;          // less what UMask= takes away
constexpr unsigned kCloseRangeCloexec = 4;  // CLOSE_RANGE_CLOEXEC

/// What one stream is to be, with "inherit" already resolved.
struct Stream {
  int fd;  ///< 0, 1 or 2
  ExitCode exit_code;
  const char* label;
};
constexpr Stream kStreams[] = {{STDIN_FILENO, ExitCode::standard_input, "set up standard input"},
                               {STDOUT_FILENO, ExitCode::standard_output, "set up standard output"},
                               {STDERR_FILENO, ExitCode::standard_error, "set up standard error"}};

unit::StreamTarget target_of(const unit::Settings& settings, Directive directive) {
  const unit::StreamTarget* const target = settings.stream(directive);
  return target == nullptr ? unit::StreamTarget{} : *target;
}

void open_onto(PlanBuilder& builder, const Stream& stream, const std::string& path, int flags) {
  Step step;
  step.kind = StepKind::open_onto;
  step.exit_code = stream.exit_code;
  step.label = builder.keep(fmt::format("{} from {}", stream.label, path));
  step.args = {reinterpret_cast<long>(builder.keep(path)), flags | O_NOCTTY, kNewFileMode,
               stream.fd};
  builder.add(step);
}

void copy_onto(PlanBuilder& builder, const Stream& stream, int source) {
  Step step;
  step.kind = StepKind::copy_onto;
  step.exit_code = stream.exit_code;
  step.label = stream.label;
  step.args = {builder.use(source), stream.fd};
  builder.add(step);
}

/// One of the child's own streams.
void share_stream(PlanBuilder& builder, const Stream& stream, int source) {
  builder.call(stream.exit_code, stream.label, SYS_dup3, source, stream.fd, 0);
}

/// The descriptor a socket unit or the store passes under `name`, or -1.
int passed_fd(const ExecRequest& request, const std::string& name) {
  for (const PassedFd& passed : request.passed) {
    if (passed.name == name) return passed.fd;
  }
  return -1;
}

CompileStatus missing_descriptor(const Stream& stream, const std::string& what) {
  return CompileFailure{stream.exit_code,
                        Error(Errc::not_found, fmt::format("Failed to {}: {}", stream.label, what))
                            .advise("Name a descriptor that a socket unit passes to this service")};
}

/// A unit name as "fd" without an argument means it: "stdin", "stdout", "stderr" (systemd.exec(5)).
std::string default_fd_name(const Stream& stream) {
  constexpr const char* kNames[] = {"stdin", "stdout", "stderr"};
  return kNames[stream.fd];
}

CompileStatus pass_on(PlanBuilder& builder, const ExecRequest& request, const Stream& stream,
                      std::string name) {
  if (name.empty()) name = default_fd_name(stream);
  const int fd = passed_fd(request, name);
  if (fd < 0)
    return missing_descriptor(stream,
                              fmt::format("no descriptor named '{}' is passed to it", name));
  copy_onto(builder, stream, fd);
  return std::nullopt;
}

CompileStatus pass_connection(PlanBuilder& builder, const ExecRequest& request,
                              const Stream& stream) {
  const int fd = request.connection >= 0      ? request.connection
                 : request.passed.size() == 1 ? request.passed.front().fd
                                              : -1;
  if (fd < 0) return missing_descriptor(stream, "there is no single socket to connect it to");
  copy_onto(builder, stream, fd);
  return std::nullopt;
}

CompileStatus add_data(PlanBuilder& builder, const unit::Settings& settings) {
  const std::string contents =
      settings.string(Directive::StandardInputText) + settings.string(Directive::StandardInputData);
  auto memory = sys::make_memfd("stdin", contents);
  if (!memory) return CompileFailure{ExitCode::standard_input, std::move(memory).error()};
  copy_onto(builder, kStreams[0], builder.keep_fd(std::move(*memory)));
  return std::nullopt;
}

CompileStatus add_input(PlanBuilder& builder, const ExecRequest& request, const Identity& identity,
                        const unit::StreamTarget& target, bool shared_with_output) {
  const unit::Settings& settings = request.spec->settings;
  switch (static_cast<StandardInput>(target.kind)) {
    case StandardInput::null:
      open_onto(builder, kStreams[0], "/dev/null", O_RDONLY);
      return std::nullopt;
    case StandardInput::tty:
    case StandardInput::tty_force:
    case StandardInput::tty_fail:
      add_terminal_steps(builder, settings, identity);
      return std::nullopt;
    case StandardInput::data:
      return add_data(builder, settings);
    case StandardInput::file:
      open_onto(builder, kStreams[0], target.argument,
                shared_with_output ? O_RDWR | O_CREAT : O_RDONLY);
      return std::nullopt;
    case StandardInput::socket:
      return pass_connection(builder, request, kStreams[0]);
    case StandardInput::fd:
      return pass_on(builder, request, kStreams[0], target.argument);
  }
  return std::nullopt;
}

void add_journal(PlanBuilder& builder, const ExecRequest& request, const Stream& stream) {
  const int log = request.logs.at(static_cast<std::size_t>(stream.fd));
  if (log >= 0) {
    copy_onto(builder, stream, log);
  } else {
    open_onto(builder, stream, "/dev/null", O_WRONLY);
  }
}

/// "inherit" for standard output: the same as standard input, unless that cannot be written to.
void inherit_input(PlanBuilder& builder, const unit::StreamTarget& input) {
  switch (static_cast<StandardInput>(input.kind)) {
    case StandardInput::null:
    case StandardInput::data:
      open_onto(builder, kStreams[1], "/dev/null", O_WRONLY);
      return;
    case StandardInput::tty:
    case StandardInput::tty_force:
    case StandardInput::tty_fail:
    case StandardInput::file:
    case StandardInput::socket:
    case StandardInput::fd:
      share_stream(builder, kStreams[1], STDIN_FILENO);
      return;
  }
}

CompileStatus add_output(PlanBuilder& builder, const ExecRequest& request, const Stream& stream,
                         const unit::StreamTarget& target, const unit::StreamTarget& input) {
  const std::string& path = target.argument;
  const bool same_as_input =
      static_cast<StandardInput>(input.kind) == StandardInput::file && input.argument == path;
  switch (static_cast<StandardOutput>(target.kind)) {
    case StandardOutput::inherit:
      if (stream.fd == STDERR_FILENO) {
        share_stream(builder, stream, STDOUT_FILENO);
      } else {
        inherit_input(builder, input);
      }
      return std::nullopt;
    case StandardOutput::null:
      open_onto(builder, stream, "/dev/null", O_WRONLY);
      return std::nullopt;
    case StandardOutput::tty:
      if (reads_terminal(request.spec->settings)) {
        share_stream(builder, stream, STDIN_FILENO);
      } else {
        open_onto(builder, stream, request.spec->settings.string(Directive::TTYPath), O_WRONLY);
      }
      return std::nullopt;
    case StandardOutput::journal:
    case StandardOutput::journal_console:
    case StandardOutput::kmsg:
    case StandardOutput::kmsg_console:
      // Whoever reads the log's stream copies it to where else it goes.
      add_journal(builder, request, stream);
      return std::nullopt;
    case StandardOutput::file:
      if (same_as_input) {
        share_stream(builder, stream, STDIN_FILENO);
      } else {
        open_onto(builder, stream, path, O_WRONLY | O_CREAT);
      }
      return std::nullopt;
    case StandardOutput::append:
      open_onto(builder, stream, path, O_WRONLY | O_CREAT | O_APPEND);
      return std::nullopt;
    case StandardOutput::truncate:
      open_onto(builder, stream, path, O_WRONLY | O_CREAT | O_TRUNC);
      return std::nullopt;
    case StandardOutput::socket:
      return pass_connection(builder, request, stream);
    case StandardOutput::fd:
      return pass_on(builder, request, stream, path);
  }
  return std::nullopt;
}

}  // namespace

CompileStatus add_stream_steps(PlanBuilder& builder, const ExecRequest& request,
                               const Identity& identity) {
  const unit::Settings& settings = request.spec->settings;
  const unit::StreamTarget input = target_of(settings, Directive::StandardInput);
  const unit::StreamTarget output = target_of(settings, Directive::StandardOutput);
  unit::StreamTarget errors = target_of(settings, Directive::StandardError);
  if (errors == output && static_cast<StandardOutput>(output.kind) != StandardOutput::journal) {
    errors = unit::StreamTarget{static_cast<std::int64_t>(StandardOutput::inherit),
                                {}};  // one file, one offset
  }
  const bool shared = input.argument == output.argument && !input.argument.empty();
  const auto is_given = [&](const Stream& stream) {
    const int given = request.streams.at(static_cast<std::size_t>(stream.fd));
    if (given >= 0) copy_onto(builder, stream, given);
    return given >= 0;
  };
  if (!is_given(kStreams[0])) {
    if (auto failure = add_input(builder, request, identity, input, shared)) return failure;
  }
  if (!is_given(kStreams[1])) {
    if (auto failure = add_output(builder, request, kStreams[1], output, input)) return failure;
  }
  if (is_given(kStreams[2])) return std::nullopt;
  return add_output(builder, request, kStreams[2], errors, input);
}

void add_passed_fd_steps(PlanBuilder& builder, const ExecRequest& request) {
  constexpr int kFirst = 3;  // SD_LISTEN_FDS_START
  const int past_last = kFirst + static_cast<int>(request.passed.size());
  builder.state().lowest_free_fd = past_last;
  std::vector<int*> slots;
  for (const PassedFd& passed : request.passed) {
    slots.push_back(builder.new_slot());
    Step step;
    step.kind = StepKind::lift;
    step.exit_code = ExitCode::fds;
    step.label = "copy a passed descriptor";
    step.args = {builder.use(passed.fd), reinterpret_cast<long>(slots.back()), past_last};
    builder.add(step);
  }
  for (std::size_t i = 0; i < request.passed.size(); ++i) {
    Step step;
    step.kind = StepKind::place;
    step.exit_code = ExitCode::fds;
    step.label = "put a passed descriptor in its place";
    step.args = {reinterpret_cast<long>(slots[i]), kFirst + static_cast<int>(i),
                 request.passed[i].non_blocking};
    builder.add(step);
  }
  // Ours are all close-on-exec; what the daemon itself was started with may not be. Linux 5.11;
  // before that the daemon has marked them when it started.
  builder
      .call(ExitCode::fds, "mark all other descriptors close-on-exec", SYS_close_range, past_last,
            ~0U, kCloseRangeCloexec)
      .tolerated = EINVAL;
}

}  // namespace pidward::exec
