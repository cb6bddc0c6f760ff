#include "runtime/observers.hpp"

#include <utility>

namespace pidward::runtime {

void Observers::flush() {
  const auto units_added = std::exchange(units_added_, {});
  const auto jobs_added = std::exchange(jobs_added_, {});
  const auto units_changed = std::exchange(units_changed_, {});
  const auto jobs_changed = std::exchange(jobs_changed_, {});
  const auto jobs_removed = std::exchange(jobs_removed_, {});
  const auto units_removed = std::exchange(units_removed_, {});
  const auto processes_added = std::exchange(processes_added_, {});
  const auto processes_exited = std::exchange(processes_exited_, {});
  tell([&](ManagerObserver& observer) {
    for (const UnitNote& note : units_added) observer.unit_added(note.unit, note.name);
    for (const auto& process : processes_added) observer.process_added(process->id());
    for (const auto& process : processes_exited) observer.process_exited(process->id());
    for (const JobNote& note : jobs_added) observer.job_added(note.job, note.unit, note.name);
    for (const UnitId unit : units_changed) observer.unit_changed(unit);
    for (const JobId job : jobs_changed) observer.job_changed(job);
    for (const JobNote& note : jobs_removed) {
      observer.job_removed(note.job, note.unit, note.name, note.result);
    }
    for (const UnitNote& note : units_removed) observer.unit_removed(note.unit, note.name);
  });
}

}  // namespace pidward::runtime
