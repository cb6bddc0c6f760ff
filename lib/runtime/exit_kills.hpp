// KillOnManagerExit= beyond what the kernel does: who started us is given the means to end the
// whole unit, and uses them as soon as we are gone (pidward-init(8)).
#pragma once

#include <string>
#include <unordered_map>

#include "runtime/cgroup_tree.hpp"
#include "runtime/kept_descriptors.hpp"
#include "unit/spec.hpp"

namespace pidward::runtime {

class ExitKills {
 public:
  ExitKills(Core& core, CgroupTree& groups, KeptDescriptors& kept)
      : core_(core), groups_(groups), kept_(kept) {}

  /// The unit has a process, new or taken over: its cgroup.kill is handed over, or where there is
  /// none the process itself. Nothing for units that may outlive us.
  void started(UnitId unit, const unit::UnitSpec& spec, ProcessId process);
  /// A process ended; nothing is to be killed for it any more.
  void ended(ProcessId process);
  /// The unit is down.
  void forget(UnitId unit);

 private:
  void give(const std::string& name, int fd);
  void give_group(UnitId unit);

  Core& core_;
  CgroupTree& groups_;
  KeptDescriptors& kept_;
  std::unordered_map<UnitId, std::string> units_;  ///< under which name it was given
  std::unordered_map<ProcessId, std::string> processes_;
};

}  // namespace pidward::runtime
