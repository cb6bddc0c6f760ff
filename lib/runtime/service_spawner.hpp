// From a Spawn effect to a process of the unit: the plan is compiled (on the pool when that may
// block), the process made on the loop, and the outcome of its exec told.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "exec/plan.hpp"
#include "exec/spawn.hpp"
#include "runtime/cgroup_tree.hpp"
#include "runtime/exit_kills.hpp"
#include "runtime/log_router.hpp"
#include "runtime/loop_timer.hpp"
#include "runtime/process_tracker.hpp"
#include "runtime/transient_units.hpp"

namespace pidward::runtime {

class FdStore;
class Listeners;

class ServiceSpawner final : private DescriptorHandler {
 public:
  struct Surroundings {
    exec::Roots roots;
    std::string notify_socket;
    /// The manager's block, read at each spawn.
    std::function<std::vector<std::string>()> environment;
    /// Streams that a unit was given opened, or nullptr.
    std::function<const UnitStreams*(UnitId)> streams;
  };
  struct Parts {
    CgroupTree& groups;
    ProcessTracker& tracker;
    LogRouter& logs;
    Listeners& listeners;
    FdStore& fd_store;
    StateKeeper& keeper;
    ExitKills& exit_kills;
  };
  ServiceSpawner(Core& core, Parts parts, Surroundings surroundings);
  ~ServiceSpawner() override;
  ServiceSpawner(const ServiceSpawner&) = delete;
  ServiceSpawner& operator=(const ServiceSpawner&) = delete;

  /// Called after each answer to a spawn of the unit.
  void set_answered(std::function<void(UnitId)> answered) { answered_ = std::move(answered); }
  void spawn(const engine::Spawn& effect);
  /// Whether a spawn of the unit is unanswered.
  [[nodiscard]] bool is_spawning(UnitId unit) const { return unanswered_.contains(unit); }
  /// If the process is on its way to exec: settles how that ended. False when the start failed and
  /// was reported so.
  bool settle(ProcessId process);

 private:
  struct Pending;   ///< being compiled
  struct InFlight;  ///< on its way to exec
  void descriptor_ready(int fd, std::uint32_t events) override;
  void begin(const engine::Spawn& effect);
  void pump();
  void watch_progress();
  [[nodiscard]] Result<std::shared_ptr<Pending>> prepare(const engine::Spawn& effect);
  [[nodiscard]] Status open_logs(Pending& pending);
  void launch(const std::shared_ptr<Pending>& pending, exec::Compiled compiled);
  void fail(const engine::Spawn& effect, exec::ExitCode code, Error error);
  bool conclude(int report_fd);
  void answer(UnitId unit, engine::Event event);

  Core& core_;
  Parts parts_;
  Surroundings surroundings_;
  exec::Spawner spawner_;
  std::unordered_map<int, std::unique_ptr<InFlight>> in_flight_;  ///< by report descriptor
  std::unordered_map<ProcessId, int> by_process_;
  std::unordered_map<UnitId, unsigned> unanswered_;
  std::function<void(UnitId)> answered_;
  bool settling_ = false;
  /// Starts that wait for their turn: a thousand plans at a time would cost memory and gain
  /// nothing.
  std::deque<engine::Spawn> queue_;
  std::size_t active_ = 0;
  std::size_t limit_;
  std::uint64_t begun_ = 0;
  LoopTimer progress_;
  bool watching_progress_ = false;
  bool pumping_ = false;
};

}  // namespace pidward::runtime
