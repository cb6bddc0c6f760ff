// Puts a plan together, in the order that systemd.exec(5) and the kernel ask for: what needs
// privileges comes before they go, what shapes the process for its program comes last.
#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <fmt/core.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "exec/directories.hpp"
#include "exec/limits.hpp"
#include "exec/streams.hpp"
#include "exec/surroundings.hpp"
#include "exec/terminal.hpp"
#include "sys/capability.hpp"
#include "sys/uapi.hpp"
#include "unit/environment.hpp"

namespace pidward::exec {
namespace {

using unit::Directive;

/// The kernel's own struct sigaction for rt_sigaction(2).
struct KernelSigaction {
  void (*handler)(int);
  unsigned long flags;
  void (*restorer)();
  std::uint64_t mask;
};
constexpr std::size_t kKernelSigset = 8;
constexpr std::size_t kPidDigits = 20;

/// Signals that whoever started the daemon had ignored (nohup), or the daemon itself ignores: a
/// service gets defaults.
const std::vector<int>& signals_ignored_here() {
  static const std::vector<int> kIgnored = [] {
    std::vector<int> ignored;
    for (int signal = 1; signal < NSIG; ++signal) {
      struct sigaction current {};
      if (::sigaction(signal, nullptr, &current) == 0 && current.sa_handler == SIG_IGN)
        ignored.push_back(signal);
    }
    return ignored;
  }();
  return kIgnored;
}

void add_disposition(PlanBuilder& builder, int signal, bool ignore) {
  const KernelSigaction action{ignore ? SIG_IGN : SIG_DFL, 0, nullptr, 0};
  const KernelSigaction* kept = builder.keep_blob(&action, 1);
  builder.call(ExitCode::signal_mask, "set a signal's disposition", SYS_rt_sigaction, signal, kept,
               nullptr, kKernelSigset);
}

void add_signal_steps(PlanBuilder& builder, const unit::Settings& settings) {
  for (const int signal : signals_ignored_here()) {
    if (signal != SIGPIPE) add_disposition(builder, signal, false);
  }
  add_disposition(builder, SIGPIPE, settings.boolean(Directive::IgnoreSIGPIPE));
}

void add_root_steps(PlanBuilder& builder, const ExecRequest& request) {
  const unit::Settings& settings = request.spec->settings;
  const std::string& root = settings.string(Directive::RootDirectory);
  const bool start_only = settings.boolean(Directive::RootDirectoryStartOnly);
  if (!root.empty() && root != "/" && (!start_only || request.list == Directive::ExecStart)) {
    builder.call(ExitCode::chroot,
                 builder.keep(fmt::format("change the root directory to {}", root)), SYS_chroot,
                 builder.keep(root));
  }
  builder.call(ExitCode::chdir, "change to the root directory", SYS_chdir, builder.keep("/"));
}

// An init of its own sees a /proc of its own, mounted where nobody else sees it.
void add_pid_namespace_steps(PlanBuilder& builder) {
  builder.state().clone_flags |= CLONE_NEWPID;
  builder.call(ExitCode::namespaces, "leave the mount namespace", SYS_unshare, CLONE_NEWNS);
  builder.call(ExitCode::namespaces, "keep mounts to itself", SYS_mount, nullptr, builder.keep("/"),
               nullptr, MS_SLAVE | MS_REC, nullptr);
}

// Without /proc, as in a bare root directory, there is nothing to replace.
void add_proc_step(PlanBuilder& builder) {
  Step& step = builder.call(ExitCode::namespaces, "mount /proc", SYS_mount, builder.keep("proc"),
                            builder.keep("/proc"), builder.keep("proc"),
                            MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr);
  step.tolerated = ENOENT;
}

// Dying with the daemon: the main process by the kernel's own hand where it can, else all of them
// by the parent-death signal, asked for as late as can be, since a change of credentials forgets
// it.
void prepare_autokill(PlanBuilder& builder, const ExecRequest& request) {
  if (!request.autokill || request.list != Directive::ExecStart) return;
  builder.state().clone_flags |= sys::uapi::kCloneAutoreap | sys::uapi::kClonePidfdAutokill;
  const auto sets = sys::own_capabilities();
  const bool is_admin = sets && (sets->effective >> CAP_SYS_ADMIN & 1U) != 0;
  if (!is_admin) builder.state().clone_flags |= sys::uapi::kCloneNnp;
}
void add_parent_death_steps(PlanBuilder& builder) {
  if ((builder.state().clone_flags & sys::uapi::kClonePidfdAutokill) != 0) return;
  builder.call(ExitCode::exec, "ask to die with pidward", SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0,
               0, 0);
  Step step;
  step.kind = StepKind::check_parent;
  step.exit_code = ExitCode::exec;
  step.label = "find pidward alive";
  builder.add(step);
}

CompileStatus add_working_directory_step(PlanBuilder& builder, const ExecRequest& request,
                                         const Identity& identity,
                                         const std::vector<std::string>& environment) {
  std::string directory = request.spec->settings.string(Directive::WorkingDirectory);
  const bool optional = directory.starts_with('-');
  if (optional) directory.erase(0, 1);
  if (directory == "~" || (directory.empty() && request.user_manager)) {
    directory = identity.home;
    if (directory.empty() && request.user_manager) {
      directory = unit::find_variable(environment, "HOME").value_or("");
    } else if (directory.empty() && !identity.uid) {
      directory = home_of(::geteuid());
    }
    if (directory.empty() && !request.user_manager && !optional) {
      return CompileFailure{ExitCode::chdir,
                            Error(Errc::not_found, "WorkingDirectory=~: no home directory is known")
                                .advise("Set User=, or name the directory")};
    }
  }
  if (directory.empty() || directory == "/") return std::nullopt;
  Step& step = builder.call(
      ExitCode::chdir, builder.keep(fmt::format("change to the working directory {}", directory)),
      SYS_chdir, builder.keep(directory));
  if (optional) step.tolerated = kAnyError;
  return std::nullopt;
}

/// A variable whose value, its own process number, only the child knows: room for the digits.
void add_own_pid(std::vector<std::string>& environment, const char* name,
                 std::vector<std::string>& pid_variables) {
  pid_variables.push_back(fmt::format("{}={}", name, std::string(kPidDigits, ' ')));
  environment.push_back(pid_variables.back());
}

void add_pid_steps(PlanBuilder& builder, const std::vector<char*>& block,
                   const std::vector<std::string>& pid_variables) {
  for (char* assignment : block) {
    if (assignment == nullptr) continue;
    for (const std::string& with_room : pid_variables) {
      // What the unit says itself has taken the place of the room, and is as long as it likes.
      if (assignment != with_room) continue;
      Step step;
      step.kind = StepKind::write_pid;
      step.exit_code = ExitCode::memory;
      step.label = "write the process number";
      step.args = {reinterpret_cast<long>(assignment + with_room.size() - kPidDigits),
                   static_cast<long>(kPidDigits)};
      builder.add(step);
    }
  }
}

void announce_passed(const ExecRequest& request, std::vector<std::string>& environment) {
  if (request.passed.empty()) return;
  std::string names;
  for (const PassedFd& passed : request.passed) {
    if (!names.empty()) names += ':';
    names += passed.name.empty() ? "unknown" : passed.name;
  }
  environment.push_back(fmt::format("LISTEN_FDS={}", request.passed.size()));
  environment.push_back(fmt::format("LISTEN_FDNAMES={}", names));
}

void add_execute_step(PlanBuilder& builder, const ExecRequest& request, const std::string& path,
                      const std::vector<std::string>& arguments,
                      const std::vector<std::string>& environment,
                      const std::vector<std::string>& pid_variables) {
  std::vector<std::string> candidates;
  if (path.find('/') != std::string::npos) {
    candidates.push_back(path);
  } else {
    for (const std::string& directory : program_directories(request, environment)) {
      candidates.push_back(directory + "/" + path);
    }
  }
  ExecPlan::Impl& state = builder.state();
  state.program = path;
  state.arguments = &builder.keep_array(arguments);
  state.environment = &builder.keep_array(environment);
  add_pid_steps(builder, *state.environment, pid_variables);

  const std::uint64_t nothing = 0;
  builder.call(ExitCode::signal_mask, "open the signal mask", SYS_rt_sigprocmask, SIG_SETMASK,
               builder.keep_blob(&nothing, 1), nullptr, kKernelSigset);
  Step step;
  step.kind = StepKind::execute;
  step.exit_code = ExitCode::exec;
  step.label = "execute it";
  step.args = {reinterpret_cast<long>(builder.keep_array(candidates).data()),
               reinterpret_cast<long>(state.arguments->data()),
               reinterpret_cast<long>(state.environment->data())};
  builder.add(step);
}

CompileStatus build(PlanBuilder& builder, const ExecRequest& request,
                    std::vector<std::string>& warnings) {
  const unit::Settings& settings = request.spec->settings;
  const unit::ExecList& commands = settings.commands(request.list);
  if (request.index >= commands.size()) {
    return CompileFailure{ExitCode::exec,
                          Error(Errc::not_found, "The command is no longer in the unit")};
  }
  unit::ExecCommand command = commands[request.index];
  if (settings.boolean(Directive::PermissionsStartOnly) && request.list != Directive::ExecStart) {
    command.no_setuid = true;
  }

  Identity identity;
  if (auto failure = look_up_identity(settings, identity)) return failure;
  builder.state().owner = {identity.uid.value_or(static_cast<uid_t>(-1)),
                           identity.gid.value_or(static_cast<gid_t>(-1))};
  for (std::string& complaint : prepare_terminal(settings))
    warnings.push_back(std::move(complaint));
  std::vector<std::string> directories;
  if (auto failure = make_directories(request, identity, directories)) return failure;
  std::vector<std::string> environment;
  announce_passed(request, environment);
  std::vector<std::string> pid_variables;
  add_own_pid(environment, "SYSTEMD_EXEC_PID", pid_variables);
  if (!request.passed.empty()) add_own_pid(environment, "LISTEN_PID", pid_variables);
  if (unit::find_variable(request.extra_environment, "WATCHDOG_USEC"))
    add_own_pid(environment, "WATCHDOG_PID", pid_variables);
  if (auto failure = make_environment(request, identity, directories, environment, warnings))
    return failure;
  const unit::ExpandedCommand expanded = unit::expand_command(command, environment);
  for (const std::string& name : expanded.unset) {
    warnings.push_back(
        fmt::format("The command line of {} refers to ${}, which is not set; it is taken as empty",
                    command.path, name));
  }

  builder.call(ExitCode::set_sid, "become a session leader", SYS_setsid);
  add_signal_steps(builder, settings);
  // Before anything is created: it holds for the files of the streams as well.
  builder.call(ExitCode::memory, "set the file mode mask", SYS_umask,
               settings.integer(Directive::UMask));
  if (auto failure = add_stream_steps(builder, request, identity)) return failure;
  add_passed_fd_steps(builder, request);
  add_scheduling_steps(builder, settings);
  add_limit_steps(builder, settings);
  const bool own_pids = settings.boolean(Directive::PrivatePIDs) && !command.full_privileges;
  if (own_pids) add_pid_namespace_steps(builder);
  add_root_steps(builder, request);
  if (own_pids) add_proc_step(builder);
  const bool dies_with_us = settings.boolean(Directive::KillOnManagerExit);
  if (dies_with_us) prepare_autokill(builder, request);
  add_identity_steps(builder, settings, command, identity);
  if (auto failure = add_working_directory_step(builder, request, identity, environment))
    return failure;
  if (settings.boolean(Directive::NoNewPrivileges) && !command.full_privileges) {
    builder.call(ExitCode::no_new_privileges, "forbid new privileges", SYS_prctl,
                 PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  }
  if (dies_with_us) add_parent_death_steps(builder);
  add_execute_step(builder, request, command.path, expanded.argv, environment, pid_variables);
  return std::nullopt;
}

}  // namespace

bool may_block(const ExecRequest& request) {
  const unit::Settings& settings = request.spec->settings;
  for (const Directive directive :
       {Directive::User, Directive::Group, Directive::SupplementaryGroups,
        Directive::EnvironmentFile, Directive::RuntimeDirectory, Directive::StateDirectory,
        Directive::CacheDirectory, Directive::LogsDirectory, Directive::ConfigurationDirectory}) {
    if (settings.is_set(directive)) return true;
  }
  // Whose home that is has to be looked up.
  return settings.string(Directive::WorkingDirectory).ends_with('~') || prepares_terminal(settings);
}

Compiled compile(const ExecRequest& request) {
  PlanBuilder builder;
  Compiled compiled;
  if (auto failure = build(builder, request, compiled.warnings)) {
    compiled.exit_code = failure->exit_code;
    compiled.error = std::move(failure->error);
    return compiled;
  }
  compiled.plan = std::move(builder).finish();
  return compiled;
}

}  // namespace pidward::exec
