// From settings to a process, first half: an ExecPlan is everything a start needs, decided
// beforehand.
//
// The child that will run the plan shares our memory and may only make raw system calls, so nothing
// is left to decide there: the plan is a flat list of steps, each one system call or a short fixed
// sequence, with every string and array it needs already laid out. Each step names the exit code
// (systemd.exec(5), "Process Exit Codes") that its failure means.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/types.h>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "unit/spec.hpp"

namespace pidward::exec {

/// systemd.exec(5), "Process Exit Codes": the ones a child of ours can end with before its program
/// runs.
enum class ExitCode : std::uint8_t {
  none = 0,
  chdir = 200,
  nice = 201,
  fds = 202,
  exec = 203,
  memory = 204,
  limits = 205,
  oom_adjust = 206,
  signal_mask = 207,
  standard_input = 208,
  standard_output = 209,
  chroot = 210,
  ioprio = 211,
  timer_slack = 212,
  secure_bits = 213,
  set_scheduler = 214,
  cpu_affinity = 215,
  group = 216,
  user = 217,
  capabilities = 218,
  cgroup = 219,
  set_sid = 220,
  confirm = 221,
  standard_error = 222,
  pam = 224,
  network = 225,
  namespaces = 226,
  no_new_privileges = 227,
  seccomp = 228,
  selinux = 229,
  personality = 230,
  apparmor = 231,
  address_families = 232,
  runtime_directory = 233,
  chown = 235,
  keyring = 237,
  state_directory = 238,
  cache_directory = 239,
  logs_directory = 240,
  configuration_directory = 241,
  numa_policy = 242,
  credentials = 243,
};
/// The upper-case name of systemd.exec(5): "EXEC", "CHDIR". "UNKNOWN" for others.
std::string_view to_string(ExitCode code);

/// The directories below which RuntimeDirectory= and the others live (systemd.exec(5), Table 2).
struct Roots {
  std::string runtime = "/run";
  std::string state = "/var/lib";
  std::string cache = "/var/cache";
  std::string logs = "/var/log";
  std::string configuration = "/etc";
};

/// A descriptor the process inherits, with its name for $LISTEN_FDNAMES. Borrowed: open until
/// spawn() returned.
struct PassedFd {
  int fd = -1;
  std::string name;
  bool non_blocking = false;
};

/// What to start, and where its surroundings come from. Plain data: may be moved to another thread.
struct ExecRequest {
  unit::UnitSpecPtr spec;
  unit::Directive list = unit::Directive::ExecStart;
  std::uint32_t index = 0;  ///< which command of the list
  bool user_manager = false;
  Roots roots;
  std::vector<std::string> manager_environment;  ///< what the manager hands on to every service
  std::vector<std::string> daemon_environment;   ///< our own block, for PassEnvironment=
  std::vector<std::string> extra_environment;    ///< INVOCATION_ID=, MAINPID=, NOTIFY_SOCKET= …
  std::vector<PassedFd> passed;  ///< descriptors from 3 on, announced by $LISTEN_FDS
  /// Descriptors that take the place of what Standard…= says for input, output and error; borrowed;
  /// -1: none.
  std::array<int, 3> streams{-1, -1, -1};
  int connection = -1;  ///< StandardInput=socket: the accepted connection; borrowed
  /// Where what output and error log goes, each of them; borrowed; -1: /dev/null.
  std::array<int, 3> logs{-1, -1, -1};
  bool autokill = false;  ///< the kernel kills a child whose pidfd closes: for KillOnManagerExit=
};

class ExecPlan {
 public:
  struct Impl;  ///< of the layer's own files
  ~ExecPlan();
  ExecPlan(const ExecPlan&) = delete;
  ExecPlan& operator=(const ExecPlan&) = delete;

  /// What will be executed, for messages: the first candidate path.
  [[nodiscard]] const std::string& program() const;
  [[nodiscard]] std::vector<std::string> arguments() const;
  [[nodiscard]] std::vector<std::string> environment() const;
  /// The kernel kills the process when the descriptor made with it closes, and collects it itself
  /// (CLONE_PIDFD_AUTOKILL): its exit status comes from the pidfd alone.
  [[nodiscard]] bool is_autokilled() const;
  /// User= and its group; -1 where the process stays who we are.
  [[nodiscard]] std::pair<uid_t, gid_t> owner() const;

 private:
  friend class PlanBuilder;
  friend class Spawner;
  friend class SpawnedChild;
  ExecPlan();
  std::unique_ptr<Impl> impl_;
};

/// A plan, or the step that made one impossible: an unknown user is 217 long before there is a
/// process. `exit_code` none with an error: no step of the child's (an unreadable
/// EnvironmentFile=), systemd's "resources".
struct Compiled {
  std::unique_ptr<ExecPlan> plan;
  ExitCode exit_code = ExitCode::none;
  std::optional<Error> error;
  std::vector<std::string> warnings;  ///< sentences that do not stop the start
};

/// True when compile() may block: it looks up users, reads files or makes directories. Then it
/// belongs on a worker.
[[nodiscard]] bool may_block(const ExecRequest& request);

/// Compiles the plan. Creates the Runtime/State/Cache/Logs/ConfigurationDirectory= trees, reads
/// EnvironmentFile=s and looks up users and groups; makes no process. Thread safe.
Compiled compile(const ExecRequest& request);

/// What a unit has done to its terminal is to be undone when it is down.
[[nodiscard]] bool has_terminal(const unit::UnitSpec& spec);
/// Undoes it: TTYVHangup= and TTYReset= once more, and the terminal is root's again. May block.
void release_terminal(const unit::UnitSpec& spec);

/// Removes what RuntimeDirectory= made, as RuntimeDirectoryPreserve= says. May block.
void remove_runtime_directories(const unit::UnitSpec& spec, const Roots& roots, bool restarting);

}  // namespace pidward::exec
