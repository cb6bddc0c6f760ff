// Changes on their way to the observers: gathered while the engine works, told once per turn and
// object.
#pragma once

#include <string>
#include <unordered_set>
#include <vector>

#include "runtime/manager.hpp"

namespace pidward::runtime {

class Observers {
 public:
  [[nodiscard]] bool empty() const { return observers_.empty(); }
  void add(ManagerObserver* observer) { observers_.push_back(observer); }
  void remove(ManagerObserver* observer) { std::erase(observers_, observer); }

  void unit_added(UnitId unit, const unit::UnitName& name) { units_added_.push_back({unit, name}); }
  void unit_changed(UnitId unit) { units_changed_.insert(unit); }
  void unit_removed(UnitId unit, const unit::UnitName& name) {
    units_removed_.push_back({unit, name});
  }
  void job_added(JobId job, UnitId unit, const unit::UnitName& name) {
    jobs_added_.push_back({job, unit, name, engine::JobResult::done});
  }
  void job_changed(JobId job) { jobs_changed_.insert(job); }
  void job_removed(JobId job, UnitId unit, const unit::UnitName& name, engine::JobResult result) {
    jobs_removed_.push_back({job, unit, name, result});
  }
  /// The handle keeps the process's entry until it was told of.
  void process_added(process::ProcessHandle process) {
    processes_added_.push_back(std::move(process));
  }
  void process_exited(process::ProcessHandle process) {
    processes_exited_.push_back(std::move(process));
  }
  /// Tells all that was gathered: what is new, then what changed, then what is gone, so that a
  /// job's end comes after the state it led to.
  void flush();
  /// Tells something at once.
  template <typename Call>
  void tell(Call call) {
    const std::vector<ManagerObserver*> now = observers_;
    for (ManagerObserver* observer : now) call(*observer);
  }

 private:
  struct UnitNote {
    UnitId unit;
    unit::UnitName name;
  };
  struct JobNote {
    JobId job;
    UnitId unit;
    unit::UnitName name;
    engine::JobResult result;
  };
  std::vector<ManagerObserver*> observers_;
  std::vector<UnitNote> units_added_, units_removed_;
  std::vector<JobNote> jobs_added_, jobs_removed_;
  std::vector<process::ProcessHandle> processes_added_, processes_exited_;
  std::unordered_set<UnitId> units_changed_;
  std::unordered_set<JobId> jobs_changed_;
};

}  // namespace pidward::runtime
