// Descriptors that must outlive us, kept by whoever started us: sent with FDSTORE=1 when they are
// made, handed back as $LISTEN_FDS to the next of us (sd_pid_notify_with_fds(3)). Their names are
// ours; what each is for is written in the state file under the same name.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "runtime/core.hpp"
#include "runtime/socket_address.hpp"
#include "sys/fd.hpp"

namespace pidward::runtime {

class KeptDescriptors final : private DescriptorHandler {
 public:
  explicit KeptDescriptors(Core& core);
  ~KeptDescriptors() override;
  KeptDescriptors(const KeptDescriptors&) = delete;
  KeptDescriptors& operator=(const KeptDescriptors&) = delete;

  /// Takes in what $LISTEN_FDS hands us, or what our own process had before it executed itself anew
  /// (`handover`), and finds out who keeps descriptors for us: whoever listens on $NOTIFY_SOCKET,
  /// if $FDSTORE says that there is room (systemd and pidward-init set it).
  void open(std::string_view handover);
  /// Before we execute ourselves: all that is kept stays open, at its number. Returns what open()
  /// is to be told.
  [[nodiscard]] std::string hand_over();
  /// That came to nothing.
  void take_back();
  /// Whether open() found that our own process executed itself anew.
  [[nodiscard]] bool is_same_process() const { return same_process_; }
  /// Whether somebody keeps what we send.
  [[nodiscard]] bool has_keeper() const { return keeps_; }

  /// A descriptor that came back, or none. It stays kept under its name.
  [[nodiscard]] sys::Fd take(std::string_view name);
  /// Names that came back and were not taken.
  [[nodiscard]] std::vector<std::string> left() const;

  /// A name that is not in use: "KIND-NUMBER".
  [[nodiscard]] std::string new_name(std::string_view kind);
  /// Keeps a descriptor under this name. It is borrowed, and stays ours: drop() comes before it is
  /// closed.
  void keep(const std::string& name, int fd);
  /// keep(), for executing ourselves only: nobody else gets a copy.
  void keep_here(const std::string& name, int fd) { kept_.insert_or_assign(name, fd); }
  /// Hands a copy to whoever started us, and to nobody of ours: no next daemon gets it, should this
  /// process execute itself anew.
  void give(const std::string& name, int fd);
  void drop(const std::string& name);
  /// keep() and drop() for descriptors of which there are thousands: their names are not remembered
  /// here, so whoever has them says keep_here() before hand_over(). `was_sent` false: nobody got a
  /// copy.
  void keep_elsewhere(const std::string& name, int fd);
  void drop_elsewhere(const std::string& name, bool was_sent);
  /// Tells whoever listens on $NOTIFY_SOCKET how we are, after what was said before (sd_notify(3)).
  /// Never waits: what has no room there yet is sent when it has, unless ten thousands wait before.
  void tell(std::string state);
  [[nodiscard]] bool is_kept(const std::string& name) const { return kept_.contains(name); }

 private:
  struct Outgoing {
    std::string text;
    sys::Fd fd;
  };
  void descriptor_ready(int fd, std::uint32_t events) override;
  void send(std::string text, int fd);
  void send_drop(const std::string& name, bool was_sent);
  [[nodiscard]] bool push(std::string_view text, int fd);

  Core& core_;
  sys::Fd socket_;
  bool keeps_ = false;
  Watch watch_;
  std::deque<Outgoing> outgoing_;
  std::map<std::string, sys::Fd, std::less<>> returned_;
  std::map<std::string, int> kept_;
  std::set<std::string> given_;
  std::uint64_t next_ = 1;
  bool same_process_ = false;
};

/// Set to our number while we execute ourselves.
inline constexpr const char* kHandoverVariable = "PIDWARD_REEXECUTED";

/// The descriptors handed to this process, by name, all close-on-exec from now on; the variables
/// are gone from the environment. Descriptors of one name are all there.
std::vector<std::pair<std::string, sys::Fd>> take_listen_fds();

}  // namespace pidward::runtime
