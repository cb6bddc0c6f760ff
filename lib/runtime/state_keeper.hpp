// What the next daemon must know, written before this one acts on it: a record for each unit that
// is or was up, one for each process, one for each descriptor that is kept for us elsewhere.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

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

  /// Whether the last daemon left anything.
  [[nodiscard]] bool is_there_any() const;
  /// What the last daemon left. A file that cannot be used is set aside, said in the log, and
  /// nothing comes of it. `whole`: there was one, and all of it could be read.
  [[nodiscard]] StateEntries take_over(bool& whole, const KeyListener& keys);
  /// A process that is known already is one of those that are kept, and its spawn is waited for if
  /// there is one; before begin().
  void expect_process(ProcessId process, SpawnId spawn);
  /// The unit is not what it was when it was last written.
  void mark(UnitId unit) { changed_.insert(unit); }
  /// Writes a new file of what take_over() had whole, on whatever thread, before begin().
  void prepare(const StateEntries& was);
  /// From here on changes are kept, in a new file that says everything, which `effects` need not be
  /// told of. Where `was` is what was given to prepare(), to what that says only the difference is
  /// added: units are what they were, but for those that were marked and those with which something
  /// is to be done. Not in the last daemon's own file, unless there is no room for another: a
  /// child of it that is still at its gate would take the growing for its record.
  void begin(const StateEntries& other, const StateEntries& was, const engine::Effects& effects);
  /// In order: nothing is to be known after us.
  void remove();

  /// The engine changed: the records of all units these effects (and this event) are about are to
  /// be written. Call it before the effects are carried out: where one of them acts on the world,
  /// or nobody's event led to them, they are written at once, else with the next that are, at the
  /// latest by flush() at the end of the turn.
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
  /// Labels the process as what it is, where the kernel keeps labels: for the day when the state is
  /// lost. Of a process at its gate, after that is open: it need not wait for it.
  void label(const process::ProcessHandle& handle) const;
  /// Whether there is room to write down what is about to be started. Errors: there is none.
  Status may_start();
  /// It ended, or is of no interest any more; goes with the next change.
  void process_gone(ProcessId process);
  /// Keeps a descriptor with whoever started us, and what it is for in the state.
  void keep_descriptor(const std::string& name, int fd, std::string purpose);
  /// More is known of one that is kept.
  void describe_descriptor(const std::string& name, std::string purpose);
  void drop_descriptor(const std::string& name);
  [[nodiscard]] std::string new_descriptor_name(std::string_view kind) {
    return kept_.new_name(kind);
  }
  /// The same for descriptors of which there are thousands: what they are for is remembered by
  /// whoever has them, and told to each that asks for all (add_source()).
  void keep_one_of_many(const std::string& name, int fd, const std::string& purpose);
  void drop_one_of_many(const std::string& name);
  using Source = std::function<void(StateEntries&)>;
  void add_source(Source source) { sources_.push_back(std::move(source)); }
  /// Other entries, such as "manager". Go with the next change.
  void set(const std::string& key, std::string text);
  void remove_entry(const std::string& key);
  /// Writes all that changed and is not written.
  void flush();
  /// Now and then, when no child is at its gate: a file that says little in many words is begun
  /// anew sooner than while much happens.
  void at_rest();
  /// Errors: the file lacks something that could not be written.
  [[nodiscard]] Status is_kept() const;

 private:
  void note_changed();
  void note_unit(UnitId unit);
  void unit_removed(UnitId unit, const std::string& name);
  Status write(exec::Gate* gate = nullptr);
  Status rewrite();
  void shorten(std::uint64_t longest);
  Status make_anew();
  Status go_on(const StateEntries& was, const engine::Effects& effects);
  void set_process(ProcessId id, SpawnId spawn);
  [[nodiscard]] StateEntries everything();

  Core& core_;
  KeptDescriptors& kept_;
  StateFile file_;
  bool open_ = false;
  bool behind_ = false;  ///< something could not be written
  // Thousands of each: what can be made again from elsewhere is not kept a second time.
  std::unordered_map<UnitId, std::size_t> units_;     ///< hash of what was written
  std::unordered_map<ProcessId, SpawnId> processes_;  ///< that are written, and of which spawn
  std::unordered_set<UnitId> changed_;
  StateEntries others_;  ///< all but those and what the sources have
  std::vector<Source> sources_;
  StateBatch batch_;
};

/// Under which name the pidfd of a process is kept.
std::string pidfd_name(ProcessId process);
/// Key and text of an entry "process ID", and back.
std::string process_key(ProcessId id);
std::string format_process(const ProcessRecord& record);
std::optional<ProcessRecord> parse_process(std::string_view key, std::string_view text);

}  // namespace pidward::runtime
