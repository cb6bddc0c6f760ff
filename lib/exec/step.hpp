// The alphabet of an ExecPlan. A step is data: which call, with which arguments, and what its
// failure means.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "exec/gate.hpp"
#include "exec/plan.hpp"

namespace pidward::exec {

enum class StepKind : std::uint8_t {
  call,        ///< system call `number` with `args`; fails when the kernel says so
  copy_onto,   ///< put the plan's descriptor args[0] (its index) at number args[1]
  open_onto,   ///< openat(AT_FDCWD, args[0], args[1], args[2]) and move it to descriptor args[3]
  write_file,  ///< write args[2] bytes at args[1] into the existing file args[0]
  lift,        ///< copy the plan's descriptor args[0] (its index) to number args[2] or above and
               ///< note it in *(int*)args[1]
  place,       ///< put the descriptor noted in *(int*)args[0] at number args[1], with O_NONBLOCK if
               ///< args[2]
  write_pid,   ///< write our process number in decimal at args[0], filled up with zero bytes to
               ///< args[1]
  check_parent,   ///< fail unless the other end of the report pipe is open: the daemon lives
  take_terminal,  ///< open the terminal args[0] as descriptor 0 and make it the controlling one;
                  ///< args[1] is a TerminalMode
  execute,  ///< execve each path of the null-terminated array args[0] with args[1], args[2] until
            ///< one works
};

/// What is done about a terminal that another session has: StandardInput=tty, tty-force, tty-fail.
enum class TerminalMode : std::uint8_t { wait, force, fail };

/// For Step::tolerated: the step may fail.
constexpr int kAnyError = -1;

struct Step {
  StepKind kind = StepKind::call;
  ExitCode exit_code = ExitCode::none;
  int tolerated = 0;  ///< an errno that does not count as a failure, or kAnyError
  long number = 0;    ///< system call, for StepKind::call
  std::array<long, 6> args{};
  const char* label = "";  ///< what the step does, for messages: "change to the working directory"
};

/// The "step" before the plan's own.
inline constexpr std::uint32_t kJoinCgroup = UINT32_MAX;

/// What a failing child writes into its report pipe.
struct StepFailure {
  std::uint32_t step = 0;  ///< index, or kJoinCgroup
  std::int32_t error_number = 0;
};

/// What the child's entry function gets.
struct ChildTask {
  const Step* steps = nullptr;
  std::size_t count = 0;
  const char* join_cgroup = nullptr;  ///< cgroup.procs of the group to move into first, or none
  int report_fd = -1;
  int* descriptors = nullptr;  ///< what the plan uses, by index; after those, report_fd once more
  std::size_t descriptor_count = 0;
  int message = -1;    ///< where to take them from; -1: they are open, the child has copies of all
  int keep_below = 0;  ///< with `message`: descriptors from here on are left behind
  GateWords* gate = nullptr;
  int parent = -1;         ///< pidfd of whoever decides at the gate
  int lowest_free_fd = 3;  ///< above every descriptor number that the program will find open
};

/// Runs the plan. Raw system calls only; returns an exit code, and only when a step failed.
int run_child(void* task);

}  // namespace pidward::exec
