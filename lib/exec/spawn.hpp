// From settings to a process, second half: making the child and hearing what became of it.
#pragma once

#include <memory>
#include <optional>

#include "base/result.hpp"
#include "exec/gate.hpp"
#include "exec/plan.hpp"
#include "sys/fd.hpp"
#include "sys/pidfd.hpp"

namespace pidward::exec {

/// How the way to exec ended.
struct ExecOutcome {
  bool executed = false;  ///< the program runs (or ran)
  ExitCode exit_code = ExitCode::none;
  std::optional<Error> error;  ///< which step failed, with which errno, in a sentence
};

/// A child on its way to exec. Owns what the child still uses; destroyed before the outcome is
/// known, it leaves that memory to the child for good rather than pull it away or wait.
class SpawnedChild {
 public:
  SpawnedChild(SpawnedChild&&) noexcept;
  SpawnedChild& operator=(SpawnedChild&&) noexcept;
  ~SpawnedChild();

  /// Of the new process; may be moved out by the caller once.
  [[nodiscard]] sys::Pidfd& pidfd();
  /// PID for display, $MAINPID and logs; never to act on.
  [[nodiscard]] int pid() const;
  /// Becomes readable when the outcome is known. Non-blocking.
  [[nodiscard]] int report_fd() const;
  /// For a gated child: lets it run its plan. Until then it waits, and should we die it ends,
  /// unless what gate() was told of was written. Destroyed without that, it ends.
  void open_gate();
  /// Where to announce the record of a gated child; valid until open_gate().
  [[nodiscard]] Gate& gate();
  /// The outcome, or nothing while it is still open: a child that failed is heard of only once it
  /// has let go of our memory. Call whenever report_fd() is readable; after an outcome the plan is
  /// freed.
  [[nodiscard]] std::optional<ExecOutcome> outcome();
  /// Its process has ended: outcome() knows from now on. A child may be killed before it has the
  /// end of the report pipe that is its own.
  void ended();

 private:
  friend class Spawner;
  SpawnedChild();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The control group a child is to be in: born there (`directory`, a descriptor) or, where that
/// cannot be, moving there by itself before anything else (`procs_file`, path of its cgroup.procs).
/// Neither: ours.
struct ChildGroup {
  int directory = -1;
  std::string procs_file;
};

/// Makes the child and returns while it runs its plan. Holds the caller for the clone alone. Must
/// always be called from the same thread. Errors: no descriptors, no memory, too many processes,
/// the control group is gone.
class Spawner {
 public:
  /// With this many descriptors of ours a child is handed those that it needs, and gets no copy of
  /// all of them.
  static constexpr int kMany = 64;
  explicit Spawner(int many = kMany);
  ~Spawner();
  Spawner(const Spawner&) = delete;
  Spawner& operator=(const Spawner&) = delete;
  /// `gated`: the child waits for SpawnedChild::open_gate().
  Result<SpawnedChild> spawn(std::unique_ptr<ExecPlan> plan, ChildGroup group = {},
                             bool gated = false);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pidward::exec
