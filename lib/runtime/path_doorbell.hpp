// Rings when one of a few paths may have come to be or gone away, wherever on the way to it that
// happens. Device nodes have no table of their own that could be polled.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "runtime/descriptor_watcher.hpp"

namespace pidward::runtime {

class PathDoorbell final : private DescriptorHandler {
 public:
  /// `ring` is called on the loop; it finds out itself what is there now.
  PathDoorbell(DescriptorWatcher& watcher, std::function<void()> ring)
      : watcher_(watcher), ring_(std::move(ring)) {}
  PathDoorbell(const PathDoorbell&) = delete;
  PathDoorbell& operator=(const PathDoorbell&) = delete;
  ~PathDoorbell() override = default;

  /// Looks after these paths from now on, and no others; with none, nothing stays open. Errors: no
  /// descriptors, no inotify instances left.
  Status watch(std::vector<std::string> paths);

 private:
  void descriptor_ready(int fd, std::uint32_t events) override;
  Status look_at_directories();
  Status listen_to_kernel();

  DescriptorWatcher& watcher_;
  std::function<void()> ring_;
  std::vector<std::string> paths_;
  sys::Fd inotify_;
  Watch inotify_watch_;
  sys::Fd kernel_;  ///< device events: sysfs has no inotify
  Watch kernel_watch_;
};

}  // namespace pidward::runtime
