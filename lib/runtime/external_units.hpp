// Mounts, swaps and devices: units pidward does not manage, whose state is what is true of the
// system.
#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>

#include "runtime/core.hpp"
#include "runtime/path_doorbell.hpp"

namespace pidward::runtime {

/// Mount points in the text of /proc/self/mountinfo, escapes undone.
std::unordered_set<std::string> parse_mount_points(std::string_view mountinfo);
/// Devices and files in the text of /proc/swaps.
std::unordered_set<std::string> parse_swaps(std::string_view swaps);

/// Reads the kernel's tables while somebody observes, and waits for their changes by poll, for
/// those of device nodes by the doorbell of their directories; otherwise nothing is open.
class ExternalUnits final : private DescriptorHandler {
 public:
  explicit ExternalUnits(Core& core)
      : core_(core), devices_(core.watcher, [this] { look_again(); }) {}
  ~ExternalUnits() override;
  ExternalUnits(const ExternalUnits&) = delete;
  ExternalUnits& operator=(const ExternalUnits&) = delete;

  void observe(UnitId unit, bool observe);

 private:
  struct Observed {
    unit::UnitType type;
    std::string path;
    bool present = false;
  };
  struct Table {
    const char* path;
    sys::Fd fd;
    Watch watch;
    std::unordered_set<std::string> entries;
  };
  void descriptor_ready(int fd, std::uint32_t events) override;
  void read(Table& table);
  void open(Table& table);
  [[nodiscard]] bool is_present(const Observed& observed);
  void close_unused();
  void look_again();
  void watch_devices();

  Core& core_;
  std::unordered_map<UnitId, Observed> observed_;
  Table mounts_{"/proc/self/mountinfo", {}, {}, {}};
  Table swaps_{"/proc/swaps", {}, {}, {}};
  PathDoorbell devices_;
};

}  // namespace pidward::runtime
