// The socket behind $NOTIFY_SOCKET. Every message is tied to its sender by pidfd, so that one from
// a process that has ended meanwhile still finds its unit.
#pragma once

#include <string>

#include "runtime/fd_store.hpp"
#include "runtime/kept_descriptors.hpp"
#include "runtime/notify_message.hpp"
#include "runtime/unit_tree.hpp"
#include "sys/peer.hpp"

namespace pidward::runtime {

class NotifySocket final : private DescriptorHandler {
 public:
  NotifySocket(Core& core, UnitTree& tree, ProcessTracker& tracker, FdStore& fd_store);
  ~NotifySocket() override;
  NotifySocket(const NotifySocket&) = delete;
  NotifySocket& operator=(const NotifySocket&) = delete;

  /// Binds `RUNTIME_DIRECTORY/notify`. Errors: the path is too long, or cannot be bound.
  /// With `kept` the socket of the last daemon is used again, with all that waits on it.
  Status open(KeptDescriptors& kept);
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  void descriptor_ready(int fd, std::uint32_t events) override;
  void handle(sys::Message message);
  /// The process MAINPID= and its kin name, verified; nothing (and a log line) when it is not to be
  /// believed.
  [[nodiscard]] std::optional<ProcessId> main_process(const ParsedNotify& parsed,
                                                      sys::Message& message, UnitId unit);

  Core& core_;
  UnitTree& tree_;
  ProcessTracker& tracker_;
  FdStore& fd_store_;
  std::string path_;
  sys::Fd socket_;
  Watch watch_;
  std::uint64_t strangers_ = 0;
};

}  // namespace pidward::runtime
