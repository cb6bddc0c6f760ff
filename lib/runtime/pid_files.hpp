// Finding the main process of a forking service: by its PIDFile=, watched until it names one of the
// unit's processes, or by guess when exactly one is left.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "runtime/unit_tree.hpp"

namespace pidward::runtime {

/// The number in a PIDFile: decimal, blanks around it allowed. Errors: empty, not a number, not a
/// possible PID.
Result<pid_t> parse_pid_file(std::string_view text);
/// The number in the file at `path`. May block.
Result<pid_t> read_pid_file(const std::string& path);

class PidFiles final : private DescriptorHandler {
 public:
  PidFiles(Core& core, UnitTree& tree, ProcessTracker& tracker);
  ~PidFiles() override;
  PidFiles(const PidFiles&) = delete;
  PidFiles& operator=(const PidFiles&) = delete;

  void find(const engine::FindMainProcess& effect);
  /// The unit has no use for an answer any more.
  void forget(UnitId unit);

 private:
  struct Waiting {
    std::string path;
    int watch = -1;    ///< on the deepest directory of the path that is there
    std::string next;  ///< what is awaited in it
    bool reading = false;
    bool again = false;
    std::string said;  ///< why the file is not believed
  };
  void descriptor_ready(int fd, std::uint32_t events) override;
  void read(UnitId unit, const std::string& path, bool wait);
  void decide(UnitId unit, bool wait, const Result<pid_t>& number);
  void guess(UnitId unit);
  [[nodiscard]] Result<ProcessId> believe(UnitId unit, pid_t number);
  void watch(UnitId unit, const std::string& path);
  void unwatch(int watch);
  void found(UnitId unit, const process::ProcessHandle& handle);

  Core& core_;
  UnitTree& tree_;
  ProcessTracker& tracker_;
  sys::Fd inotify_;  ///< once opened it stays: closing one holds the loop for milliseconds
  Watch inotify_watch_;
  std::unordered_map<UnitId, Waiting> waiting_;
};

}  // namespace pidward::runtime
