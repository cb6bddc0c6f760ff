// Units that were made by a request instead of a file (StartTransientUnit). Their text is written
// below the transient directory, so that a reload and the next daemon read them like any other;
// what a file cannot hold, processes and open streams, is kept here.
#pragma once

#include <array>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/ids.hpp"
#include "runtime/state_keeper.hpp"
#include "sys/fd.hpp"
#include "sys/pidfd.hpp"
#include "unit/enums.hpp"
#include "unit/spec.hpp"

namespace pidward::runtime {

/// A unit's name and what its file says.
struct UnitText {
  std::string name;
  std::string text;
};

/// Standard input, output and error that the caller opened; none where Standard…= decides.
using UnitStreams = std::array<sys::Fd, 3>;

/// A unit to be made, and what no text can say of it.
struct TransientUnit {
  UnitText text;
  std::vector<sys::Pidfd> processes;  ///< a scope's
  std::string controller;             ///< a scope's: a bus name, or empty
  UnitStreams streams;                ///< a service's
};

struct TransientRequest {
  TransientUnit unit;
  std::vector<TransientUnit> auxiliary;  ///< made beside it and not started: a timer's service
  unit::JobMode mode = unit::JobMode::fail;
};

/// One drop-in that set-property writes: "50-MemoryMax.conf" and its text.
struct DropInText {
  std::string name;
  std::string text;
};

class TransientUnits {
 public:
  TransientUnits(StateKeeper& keeper, std::string directory)
      : keeper_(keeper), directory_(std::move(directory)) {}

  /// Notes the units of a request that is under way. False when one of them is being made already.
  bool begin(const TransientRequest& request);
  void end(const TransientRequest& request);

  /// A unit that the loader found in the transient directory.
  void note(const unit::UnitSpec& spec);
  /// The unit went: its file and drop-ins go too.
  void removed(UnitId unit, const unit::UnitName& name);

  /// Processes a scope is started with. They are taken once, and kept for the next daemon until
  /// forget_processes(): when they are in.
  void expect(UnitId unit, const std::string& name, std::vector<sys::Pidfd> processes);
  std::vector<sys::Pidfd> take_processes(UnitId unit);
  void forget_processes(UnitId unit);

  void set_streams(UnitId unit, const std::string& name, UnitStreams streams);
  /// nullptr: it has none of its own.
  [[nodiscard]] const UnitStreams* streams(UnitId unit) const;
  /// The unit is down for good: whoever reads the other ends sees that.
  void close_streams(UnitId unit);

  /// What the last daemon had. `kept`: under which name. A process may come without a descriptor if
  /// it can be opened by `handle`; false when it cannot.
  void restore_stream(UnitId unit, std::uint64_t index, sys::Fd fd, std::string kept);
  bool restore_process(UnitId unit, sys::Fd fd, const std::string& handle, std::string kept);

 private:
  StateKeeper& keeper_;
  std::string directory_;
  std::unordered_set<std::string> under_way_;
  std::unordered_set<std::string> names_;
  std::unordered_map<UnitId, std::vector<sys::Pidfd>> processes_;
  std::unordered_map<UnitId, UnitStreams> streams_;
  using KeptNames = std::unordered_map<UnitId, std::vector<std::string>>;
  void drop(KeptNames& names, UnitId unit);
  KeptNames kept_processes_, kept_streams_;
};

}  // namespace pidward::runtime
