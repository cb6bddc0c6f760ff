// What the next daemon must know, written before this one acts on it: a record for each unit that
// is or was up, one for each process, one for each descriptor that is kept for us elsewhere.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "exec/gate.hpp"
#include "runtime/core.hpp"
#include "runtime/kept_descriptors.hpp"
#include "runtime/state_file.hpp"

namespace pidward::runtime {

/// A process as the last daemon knew it.
struct ProcessRecord {
  ProcessId id;
  std::string unit;  ///< its name; empty: of no unit
  process::Role role = process::Role::other;
  bool autokilled = false;  ///< by the kernel, should the pidfd that clone3 gave be closed
  SpawnId spawn;            ///< none: it was found, not started
  std::string handle;       ///< pidfs file handle, or empty
  pid_t pid = 0;
  std::uint64_t start_ticks = 0;  ///< with `pid`: who it is, where there are no handles

  template <typename Archive, typename Self>
  static void each_field(Archive& a, Self& self);
};

/// The entry that names the descriptors of a daemon that executes itself anew.
inline constexpr const char* kHandoverKey = "handover";

class StateKeeper {
 public:
  /// Keeps RUNTIME_DIRECTORY/state.
  StateKeeper(Core& core, KeptDescriptors& kept, std::string boot_id);

  /// What the last daemon left. A file that cannot be used is set aside, said in the log, and
  /// nothing comes of it. `whole`: there was one, and all of it could be read.
  [[nodiscard]] StateEntries take_over(bool& whole);
  /// Makes the file anew; from here on changes are kept.
  void begin(const StateEntries& other);
  /// In order: nothing is to be known after us.
  void remove();

  /// The engine changed: writes the records of all units these effects (and this event) are about,
  /// if they changed. Call it before the effects are carried out.
  void engine_changed(const engine::Effects& effects, const engine::Event* event);
  /// Everything, whether or not it seems to have changed.
  void all_changed();
  /// What is kept of a process.
  [[nodiscard]] ProcessRecord describe(const process::ProcessHandle& handle, UnitId unit,
                                       process::Role role, SpawnId spawn) const;
  /// A process came to be known; written at once, which is announced at its gate, if it waits at
  /// one. Errors: it could not be written, and what waits at the gate must not go on.
  Status process_added(const process::ProcessHandle& handle, UnitId unit, process::Role role,
                       SpawnId spawn, exec::Gate* gate = nullptr);
  /// Whether there is room to write down what is about to be started. Errors: there is none.
  Status may_start();
  /// It ended, or is of no interest any more; goes with the next change.
  void process_gone(ProcessId process);
  /// Keeps a descriptor with whoever started us, and what it is for in the state.
  void keep_descriptor(const std::string& name, int fd, std::string purpose);
  void drop_descriptor(const std::string& name);
  [[nodiscard]] std::string new_descriptor_name(std::string_view kind) {
    return kept_.new_name(kind);
  }
  /// Other entries, such as "manager". Go with the next change.
  void set(const std::string& key, std::string text);
  void remove_entry(const std::string& key);
  void flush();
  /// Errors: the file lacks something that could not be written.
  [[nodiscard]] Status is_kept() const;

 private:
  void note_unit(UnitId unit);
  void unit_removed(UnitId unit);
  Status write(exec::Gate* gate = nullptr);
  Status rewrite();
  [[nodiscard]] StateEntries everything() const;

  Core& core_;
  KeptDescriptors& kept_;
  StateFile file_;
  bool open_ = false;
  bool behind_ = false;  ///< something could not be written
  std::unordered_map<UnitId, std::pair<std::string, std::size_t>> units_;  ///< name, hash written
  std::unordered_set<UnitId> changed_;
  StateEntries others_;  ///< all but units
  StateBatch batch_;
};

/// Under which name the pidfd of a process is kept.
std::string pidfd_name(ProcessId process);
/// The text of an entry "process ID", and back.
std::string format_process(const ProcessRecord& record);
std::optional<ProcessRecord> parse_process(std::string_view key, std::string_view text);

}  // namespace pidward::runtime
