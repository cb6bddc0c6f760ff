// Who is at the other end of a Unix socket, and messages that carry descriptors and identities.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "base/result.hpp"
#include "sys/fd.hpp"
#include "sys/features.hpp"
#include "sys/pidfd.hpp"

namespace pidward::sys {

struct Credentials {
  pid_t pid = 0;  ///< a hint: 0 when outside our namespace, and reusable once the sender ended
  uid_t uid = 0;
  gid_t gid = 0;
};

/// SO_PEERCRED of a connected socket: who called connect() or listen().
Result<Credentials> peer_credentials(int socket);
/// SO_PEERPIDFD; without the feature, the number of SO_PEERCRED opened, which is not proof: check
/// it further.
Result<Pidfd> peer_pidfd(int socket, const KernelFeatures& features);

/// Asks for credentials, and for pidfds where there is the feature, with every message that
/// arrives.
Status enable_sender_identity(int socket, const KernelFeatures& features);

struct Message {
  std::string bytes;
  bool truncated = false;  ///< the datagram was longer than the limit; the rest is lost
  bool control_truncated =
      false;  ///< more descriptors came than there was room or limit for; those are closed
  std::vector<Fd> fds;  ///< all close-on-exec
  std::optional<Credentials> credentials;
  /// The sender. From SCM_PIDFD it is the sender for certain, even if it ended since; otherwise it
  /// is the process that has the number of the credentials now, or none.
  std::optional<Pidfd> sender;
  bool sender_is_certain = false;
};

/// Receives one message without waiting; nothing if there is none. The end of a stream is a message
/// without bytes.
Result<std::optional<Message>> receive_message(int socket, std::size_t limit,
                                               std::size_t max_fds = 253);
/// The same without taking the message out of the socket: whoever dies with it in hand leaves it to
/// the next one who reads there. Descriptors are copies.
Result<std::optional<Message>> peek_message(int socket, std::size_t limit,
                                            std::size_t max_fds = 253);
/// Takes out the datagram that is next, if there is one, and closes what came with it.
void drop_message(int socket);
/// Sends one message with `fds` attached (at most 253), without waiting and without SIGPIPE.
Status send_message(int socket, std::string_view bytes, const std::vector<int>& fds = {});

}  // namespace pidward::sys
