// One entry per process, however many ways it was met: the table stashes a state under the identity
// of the process, as the kernel stashes the process under the inode of its pidfd. Handles are
// counted; when the last one closes, the policy of the entry runs, once, and the entry goes.
// Single-threaded; never waits: the loop watches the pidfds and says what it saw through
// mark_exited().
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <sys/types.h>

#include "base/exit_status.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "sys/features.hpp"
#include "sys/pidfd.hpp"

namespace pidward::process {

/// What a process is to its unit.
enum class Role : std::uint8_t {
  main,
  control,  ///< ExecStartPre=, ExecStop= and the like
  other,    ///< in the unit's tree, started by one of the above
  foreign,  ///< known by pidfd, but not ours: a D-Bus caller, a lease holder
};
std::string_view to_string(Role role);

/// What happens when the last handle closes.
struct LastClose {
  enum class Action : std::uint8_t { none, signal, kill_tree };
  Action action = Action::none;
  int signal = 0;  ///< for Action::signal

  friend bool operator==(const LastClose&, const LastClose&) = default;
};

/// Who collects a child of ours when it ends.
enum class Collected : std::uint8_t {
  by_us,
  by_kernel,  ///< CLONE_AUTOREAP: wait knows nothing of it, its pidfd tells how it ended
};

class ProcessTable;
class ProcessHandle;

/// What is known of one process. Read through a ProcessHandle; changed through it or the table.
class ProcessState {
 public:
  [[nodiscard]] ProcessId id() const { return id_; }
  [[nodiscard]] const sys::Pidfd& pidfd() const { return pidfd_; }
  /// The number it had when it was opened: for logs and for what users see, never to act on. 0 if
  /// it was dead then.
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] UnitId unit() const { return unit_; }
  [[nodiscard]] Role role() const { return role_; }
  [[nodiscard]] LastClose last_close() const { return last_close_; }
  /// Started by us or reparented to us: its end is collected by us.
  [[nodiscard]] bool is_child() const { return is_child_; }
  /// The kernel kills it when the last copy of pidfd() closes (CLONE_PIDFD_AUTOKILL): no copy goes
  /// to anybody who might outlive us.
  [[nodiscard]] bool is_autokilled() const { return is_autokilled_; }
  /// mark_exited() was called.
  [[nodiscard]] bool has_ended() const { return has_ended_; }
  /// How it ended; nothing while it runs. Kept for as long as anybody holds a handle.
  [[nodiscard]] std::optional<ExitStatus> exit_status() const {
    return has_ended_ ? std::optional(exit_status_) : std::nullopt;
  }

 private:
  friend class ProcessTable;
  friend class ProcessHandle;

  ProcessId id_;
  ProcessTable* table_ = nullptr;  ///< null once the table let go of it
  std::uint64_t serial_ = 0;       ///< order of opening
  ProcessState* next_of_unit_ = nullptr;
  ProcessState* previous_of_unit_ = nullptr;
  sys::Pidfd pidfd_;
  pid_t pid_ = 0;
  UnitId unit_;
  std::uint32_t handles_ = 0;
  ExitStatus exit_status_;
  LastClose last_close_;
  Role role_ = Role::foreign;
  bool is_child_ = false;
  bool is_autokilled_ = false;
  bool has_ended_ = false;
};

/// A counted reference to one process. Copies are further handles. Empty after a move or by
/// default.
class ProcessHandle {
 public:
  ProcessHandle() = default;
  ProcessHandle(const ProcessHandle& other) noexcept;
  ProcessHandle(ProcessHandle&& other) noexcept;
  ProcessHandle& operator=(ProcessHandle other) noexcept;
  ~ProcessHandle() { close(); }

  explicit operator bool() const { return state_ != nullptr; }
  const ProcessState* operator->() const { return state_; }
  const ProcessState& operator*() const { return *state_; }
  /// The same process: equal ids.
  friend bool operator==(const ProcessHandle& a, const ProcessHandle& b) {
    return a.state_ == b.state_;
  }

  void set_unit(UnitId unit) const;
  void set_role(Role role) const { state_->role_ = role; }
  void set_last_close(LastClose policy) const { state_->last_close_ = policy; }
  /// Runs the policy now, if the process has not ended, and sets it to none: for holders that are
  /// counted elsewhere (leases), while the table itself still holds the process.
  void run_last_close() const noexcept;

  /// Signals through the pidfd. no_such_process once it is reaped.
  [[nodiscard]] Status send_signal(int signal) const;
  /// Gives this handle up; the last one runs the policy.
  void close() noexcept;

 private:
  friend class ProcessTable;
  explicit ProcessHandle(ProcessState* state) noexcept;
  ProcessState* state_ = nullptr;
};

class ProcessTable {
 public:
  /// Carries out LastClose::Action::kill_tree. The state is still whole when it is called.
  using TreeKiller = std::function<void(const ProcessState&)>;
  /// Told of each entry just before it is deleted, after its policy ran.
  using Observer = std::function<void(const ProcessState&)>;
  /// Told of each entry that was added, by its id; what it is to its unit is not known yet.
  using Newcomer = std::function<void(ProcessId)>;

  /// `features` decides the tier of identity. The default tree killer walks descendants by pidfd.
  explicit ProcessTable(const sys::KernelFeatures& features);
  /// shutdown(Leftovers::run_policies).
  ~ProcessTable();
  ProcessTable(const ProcessTable&) = delete;
  ProcessTable& operator=(const ProcessTable&) = delete;

  void set_tree_killer(TreeKiller killer) { tree_killer_ = std::move(killer); }
  void set_observer(Observer observer) { observer_ = std::move(observer); }
  void set_newcomer(Newcomer newcomer) { newcomer_ = std::move(newcomer); }

  /// The only way in. The process need not be ours and, on pidfs, need not be alive. An entry that
  /// is there already gets another handle and the new pidfd is closed. Refused: what is not a pidfd
  /// of a process (invalid_argument); without pidfs, one that was reaped (no_such_process); with
  /// the table shut down, everything (shutting_down).
  Result<ProcessHandle> open(sys::Pidfd pidfd);
  /// open() for a process that an earlier daemon has opened: who it is said to be is looked at, and
  /// where its inode proves it the kernel is asked no more.
  Result<ProcessHandle> reopen(sys::Pidfd pidfd, ProcessId id, pid_t pid);
  /// open() for a child of ours: clone3's pidfd, or an orphan that came to us.
  /// by_kernel: made with CLONE_AUTOREAP and CLONE_PIDFD_AUTOKILL, `pidfd` being the descriptor
  /// that clone3 gave. `pid`: what clone3 returned with it; then the kernel is not asked for it,
  /// nor whether it is a pidfd.
  Result<ProcessHandle> adopt_child(sys::Pidfd pidfd, UnitId unit, Role role,
                                    Collected collected = Collected::by_us, pid_t pid = 0);

  /// Another handle on a process that is in the table; empty if it is not.
  [[nodiscard]] ProcessHandle find(ProcessId id);
  /// The entry of the process behind `pidfd`, without adding one; empty if there is none.
  [[nodiscard]] Result<ProcessHandle> find(const sys::Pidfd& pidfd);
  /// Handles on all processes of a unit, or on all there are, in order of opening.
  [[nodiscard]] std::vector<ProcessHandle> processes_of(UnitId unit);
  [[nodiscard]] std::vector<ProcessHandle> all();
  [[nodiscard]] std::size_t size() const { return states_.size(); }

  /// The process ended. The first known status stays; `unknown` may still become known. An id that
  /// is not in the table is ignored: the last handle may have closed first.
  void mark_exited(ProcessId id, ExitStatus status);
  /// Asks the kernel, without waiting, whether and how a process ended, collecting it if it is our
  /// child, and marks it. Nothing while it runs. A child that somebody else collected, or a
  /// stranger whose parent did not collect it yet or whose kernel does not tell, has ended
  /// `unknown`.
  Result<std::optional<ExitStatus>> collect(const ProcessHandle& handle);

  enum class Leftovers : std::uint8_t { run_policies, leave_alone };
  /// Ends the table: policies run in the reverse order of opening (or not at all, for a daemon that
  /// is going to be replaced by the next one), every entry goes. Handles that are still out stay
  /// safe to read and to close. Twice is once.
  void shutdown(Leftovers leftovers);

  [[nodiscard]] const sys::KernelFeatures& features() const { return features_; }

 private:
  friend class ProcessHandle;
  struct Identity {
    ProcessId id;   ///< none: a process not met before, on a kernel without pidfs
    pid_t pid = 0;  ///< 0 when reaped
  };
  [[nodiscard]] Result<Identity> identify(const sys::Pidfd& pidfd) const;
  Result<std::uint64_t> inode_on_pidfs(const sys::Pidfd& pidfd) const;
  Result<ProcessState*> find_or_add(sys::Pidfd pidfd, Identity identity);
  void last_handle_closed(ProcessState* state) noexcept;
  std::unique_ptr<ProcessState> take_out(ProcessState& state) noexcept;
  void link(ProcessState& state);
  void unlink(ProcessState& state) noexcept;
  void run_policy(const ProcessState& state, LastClose policy) noexcept;

  sys::KernelFeatures features_;
  TreeKiller tree_killer_;
  Observer observer_;
  Newcomer newcomer_;
  std::unordered_map<ProcessId, std::unique_ptr<ProcessState>> states_;
  /// Without pidfs: which entry has a number. The number stays taken while its process is unreaped.
  std::unordered_map<pid_t, ProcessId> by_number_;
  /// First entry of each unit that has any; the rest hang on it.
  std::unordered_map<UnitId, ProcessState*> by_unit_;
  std::uint64_t next_serial_ = 1;
  mutable std::uint64_t pidfs_device_ = 0;  ///< 0: not seen yet
  bool is_shut_down_ = false;
};

/// What a process must be to be believed.
struct Expectation {
  /// Must be in this version 2 group or below ("/a/b"). Nothing: not asked, as where there are no
  /// groups.
  std::optional<std::string> cgroup;
  /// Must be a descendant of ours, by /proc. For running without groups.
  bool descendant_of_us = false;
  /// Must not be an ancestor of ours: its whole tree is to be acted on.
  bool not_above_us = false;
};

/// A number from outside (PIDFile=, MAINPID=, an old client) into a handle: opened first, then
/// found alive and as expected, then found still to exist, so the facts were this process's.
/// no_such_process, or process_mismatch with what was found and what was expected.
Result<ProcessHandle> open_pid_verified(ProcessTable& table, pid_t pid,
                                        const Expectation& expected);
/// The same check for a process that came as a pidfd.
Status verify(const sys::Pidfd& process, const Expectation& expected);

}  // namespace pidward::process
