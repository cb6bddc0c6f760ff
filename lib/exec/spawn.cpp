#include "exec/spawn.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <fmt/core.h>
#include <sched.h>
#include <unistd.h>

#include "exec/handover.hpp"
#include "exec/plan_builder.hpp"
#include "sys/clone.hpp"
#include "sys/descriptor_reserve.hpp"

namespace pidward::exec {
namespace {

constexpr std::size_t kStackSize = 16U * 1024U;
constexpr std::size_t kLeastKept = 4;

/// The child must not run our handlers, and it inherits the mask; its last step before exec opens
/// it again.
class AllSignalsBlocked {
 public:
  AllSignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~AllSignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  AllSignalsBlocked(const AllSignalsBlocked&) = delete;
  AllSignalsBlocked& operator=(const AllSignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

}  // namespace

/// What a child on its way to exec stands on.
struct ChildMemory {
  sys::ChildStack stack;
  Gate gate;
};

/// Memory of children is used again: mapping it costs more than the clone. Beyond a few only as
/// much is kept as is in use, so that nothing is left of a thousand starts when they are over.
struct MemoryPool {
  std::vector<ChildMemory> free;
  std::size_t in_use = 0;

  void put_back(ChildMemory memory) {
    if (in_use > 0) --in_use;
    const std::size_t most = std::max(kLeastKept, in_use);
    if (memory.stack) free.push_back(std::move(memory));
    while (free.size() > most) free.pop_back();
  }
};

struct Spawner::Impl {
  std::shared_ptr<MemoryPool> pool = std::make_shared<MemoryPool>();
  sys::Pidfd self;  ///< a gated child watches whether we are still there
  int many = kMany;
  std::shared_ptr<LowNumbers> low;  ///< none where none can be kept

  /// What the child needs waits for it; nothing where it has to get copies of everything.
  [[nodiscard]] std::optional<LowNumbers::Held> hand_over(const std::vector<int>& descriptors) {
    if (!low || descriptors.back() < std::max(many, low->end())) return std::nullopt;
    return LowNumbers::hand_over(low, descriptors);
  }
};

struct SpawnedChild::Impl {
  sys::Pidfd pidfd;
  sys::Fd report;
  int pid = 0;
  std::unique_ptr<ExecPlan> plan;
  ChildTask task;
  std::string procs_file;        ///< what task.join_cgroup points to
  std::vector<int> descriptors;  ///< what task.descriptors points to
  std::optional<LowNumbers::Held> message;
  ChildMemory memory;
  std::shared_ptr<MemoryPool> pool;
  std::optional<StepFailure> failure;
  bool in_use = false;  ///< the child may still touch plan and stack

  void decide(GateState decision) {
    if (memory.gate) memory.gate.decide(decision);
  }
  void release_memory() {
    in_use = false;
    message.reset();
    plan.reset();
    pool->put_back(std::exchange(memory, {}));
  }
  [[nodiscard]] ExecOutcome describe_failure() const;

  /// Gives the memory of a child that is still on its way to that child, for good.
  static void leave_to_child(std::unique_ptr<Impl> impl) {
    impl->decide(GateState::abandoned);
    static std::vector<std::unique_ptr<Impl>> left;
    left.push_back(std::move(impl));
  }
};

SpawnedChild::SpawnedChild() : impl_(std::make_unique<Impl>()) {}
SpawnedChild::SpawnedChild(SpawnedChild&&) noexcept = default;
SpawnedChild& SpawnedChild::operator=(SpawnedChild&& other) noexcept {
  if (this != &other) {
    if (impl_ && impl_->in_use) Impl::leave_to_child(std::move(impl_));
    impl_ = std::move(other.impl_);
  }
  return *this;
}
SpawnedChild::~SpawnedChild() {
  if (impl_ && impl_->in_use) Impl::leave_to_child(std::move(impl_));
}

sys::Pidfd& SpawnedChild::pidfd() {
  return impl_->pidfd;
}
int SpawnedChild::pid() const {
  return impl_->pid;
}
int SpawnedChild::report_fd() const {
  return impl_->report.get();
}

Gate& SpawnedChild::gate() {
  return impl_->memory.gate;
}

void SpawnedChild::open_gate() {
  impl_->decide(GateState::open);
}

void SpawnedChild::ended() {
  impl_->message.reset();
}

std::optional<ExecOutcome> SpawnedChild::outcome() {
  for (;;) {
    StepFailure failure;
    const ssize_t count = ::read(impl_->report.get(), &failure, sizeof failure);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return std::nullopt;
    if (count == 0) break;
    // Not the end yet: the child has said what failed but still stands on its stack. The pipe's end
    // follows.
    impl_->failure = failure;
  }
  ExecOutcome outcome;
  outcome.executed = !impl_->failure;
  if (impl_->failure) outcome = impl_->describe_failure();
  impl_->release_memory();
  return outcome;
}

ExecOutcome SpawnedChild::Impl::describe_failure() const {
  const ExecPlan::Impl& state = *plan->impl_;
  ExecOutcome outcome;
  if (failure->step == kJoinCgroup) {
    outcome.exit_code = ExitCode::cgroup;
    outcome.error =
        Error::from_errno(failure->error_number, fmt::format("Cannot move into {}", procs_file))
            .within(fmt::format("{}: step CGROUP", state.program));
    return outcome;
  }
  const Step& step = state.steps[failure->step];
  outcome.exit_code = step.exit_code;
  outcome.error = Error::from_errno(failure->error_number, fmt::format("Failed to {}", step.label))
                      .within(fmt::format("{}: step {}", state.program, to_string(step.exit_code)));
  return outcome;
}

Spawner::Spawner(int many) : impl_(std::make_unique<Impl>()) {
  impl_->many = many;
  if (auto low = LowNumbers::keep()) impl_->low = *std::move(low);
}
Spawner::~Spawner() = default;

Result<SpawnedChild> Spawner::spawn(std::unique_ptr<ExecPlan> plan, ChildGroup group, bool gated) {
  PIDWARD_TRY(sys::Pipe report, sys::make_pipe(O_NONBLOCK));
  PIDWARD_CHECK(sys::check_reserve(report.write_end.get(), sys::DescriptorUse::service));
  SpawnedChild child;
  SpawnedChild::Impl& state = *child.impl_;
  state.pool = impl_->pool;
  if (!impl_->self) {
    PIDWARD_TRY(impl_->self, sys::Pidfd::open(::getpid()));
  }
  if (!impl_->pool->free.empty()) {
    state.memory = std::move(impl_->pool->free.back());
    impl_->pool->free.pop_back();
  } else {
    PIDWARD_TRY(state.memory.stack, sys::ChildStack::create(kStackSize));
    PIDWARD_TRY(state.memory.gate, Gate::create());
  }
  state.plan = std::move(plan);
  const ExecPlan::Impl& prepared = *state.plan->impl_;
  state.procs_file = std::move(group.procs_file);
  state.descriptors = prepared.used;
  state.descriptors.push_back(report.write_end.get());
  state.message = impl_->hand_over(state.descriptors);
  state.task = {.steps = prepared.steps.data(),
                .count = prepared.steps.size(),
                .join_cgroup = state.procs_file.empty() ? nullptr : state.procs_file.c_str(),
                .report_fd = report.write_end.get(),
                .descriptors = state.descriptors.data(),
                .descriptor_count = state.descriptors.size(),
                .message = state.message ? state.message->number() : -1,
                .keep_below = impl_->low ? impl_->low->end() : 0,
                .gate = state.memory.gate.words(),
                .parent = impl_->self.get(),
                .lowest_free_fd = prepared.lowest_free_fd};
  state.report = std::move(report.read_end);

  state.memory.gate.reset(gated ? GateState::closed : GateState::open);
  sys::CloneRequest request;
  request.share_memory = !prepared.own_memory;
  request.share_descriptors = state.message.has_value();
  request.cgroup = group.directory;
  request.extra_flags = prepared.clone_flags;
  if (state.plan->is_autokilled()) request.exit_signal = 0;  // as CLONE_AUTOREAP demands
  const AllSignalsBlocked blocked;
  auto clone = sys::spawn_on_stack(request, state.memory.stack, &run_child, &state.task);
  if (!clone && clone.error().sys_errno() == EPERM && (prepared.clone_flags & CLONE_NEWPID) != 0) {
    return std::move(clone).error().advise("PrivatePIDs= needs CAP_SYS_ADMIN");
  }
  PIDWARD_TRY(sys::Child made, std::move(clone));
  state.in_use = true;
  ++state.pool->in_use;
  state.pid = made.pid;
  state.pidfd = std::move(made.pidfd);
  return child;
}

}  // namespace pidward::exec
