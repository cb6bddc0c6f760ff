// The private socket: peer to peer, no broker needed. Everybody may connect and read; who may
// change things is decided for each call by the uid that the kernel gives for the peer.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "base/result.hpp"
#include "runtime/loop_timer.hpp"
#include "sys/fd.hpp"
#include "sys/features.hpp"
#include "sys/peer.hpp"

namespace pidward::bus {

class PrivateDoor {
 public:
  using Accept = std::function<void(sys::Fd, const sys::Credentials&)>;
  /// Connections at a time: in all, and of one user who is neither root nor ours.
  static constexpr std::size_t kMaxConnections = 1024;
  static constexpr std::size_t kMaxConnectionsOfUser = 64;

  /// Makes `path` and listens; a socket nobody serves any more is replaced. Errors: somebody does.
  static Result<std::unique_ptr<PrivateDoor>> open(boost::asio::io_context& io, std::string path,
                                                   const sys::KernelFeatures& features,
                                                   Accept accept);
  ~PrivateDoor();
  PrivateDoor(const PrivateDoor&) = delete;
  PrivateDoor& operator=(const PrivateDoor&) = delete;

  /// An accepted connection of `uid` is gone.
  void left(uid_t uid);

 private:
  PrivateDoor(boost::asio::io_context& io, std::string path, sys::Fd socket, Accept accept);
  void wait();
  void accept_some();
  void accept_one(sys::Fd connection);
  void complain(const std::string& sentence);

  std::string path_;
  std::uint64_t inode_ = 0;  ///< of path_, so that a successor's socket is not removed
  sys::Fd socket_;
  Accept accept_;
  std::map<uid_t, std::size_t> users_;
  std::size_t connections_ = 0;
  bool has_complained_ = false;
  boost::asio::posix::stream_descriptor watch_;
  runtime::LoopTimer pause_;
};

}  // namespace pidward::bus
