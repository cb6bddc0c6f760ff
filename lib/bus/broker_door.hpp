// org.pidward1 on the system or session bus.
//
// The broker may come after us, go, and come back, and may itself be a service we run. While it is
// away its socket's directory is watched, so that nothing wakes up until it can be there again.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "bus/connection.hpp"
#include "bus/writer.hpp"
#include "runtime/loop_timer.hpp"
#include "runtime/manager.hpp"
#include "sys/fd.hpp"

namespace pidward::bus {

class BrokerDoor {
 public:
  struct Handlers {
    std::function<int(const std::shared_ptr<Connection>&, sd_bus_message*)> call;
    std::function<void(std::shared_ptr<Connection>)> joined;
    std::function<void()> lost;
    std::function<void(const std::string&)> client_left;
  };
  BrokerDoor(boost::asio::io_context& io, runtime::Manager& manager, Handlers handlers);
  ~BrokerDoor();
  BrokerDoor(const BrokerDoor&) = delete;
  BrokerDoor& operator=(const BrokerDoor&) = delete;

  /// Tries to join now. The error of the attempt; another is made when there is reason to.
  Status begin();
  /// Follows who owns `name` and tells the manager, now and on every change.
  void watch_name(const std::string& name, bool watch);

 private:
  struct NameWatch {
    SlotPtr match;
    SlotPtr query;
  };
  Status join();
  void lost(const Error& why);
  void ask_for_name();
  void follow_clients();
  void follow(const std::string& name, NameWatch& watch);
  void owner_changed(const std::string& name, const std::string& owner);
  Result<SlotPtr> ask_driver(const char* member, const std::function<void(Writer&)>& fill,
                             std::function<void(sd_bus_message*)> answer);
  void wait_for_socket();
  void wait_for_directory_event();
  void try_again_soon();

  boost::asio::io_context& io_;
  runtime::Manager& manager_;
  Handlers handlers_;
  std::string address_;
  std::string socket_path_;  ///< empty when the address is not a path
  std::shared_ptr<Connection> connection_;
  SlotPtr name_request_;
  SlotPtr clients_;
  std::map<std::string, NameWatch> names_;
  unsigned attempts_ = 0;
  sys::Fd inotify_;
  boost::asio::posix::stream_descriptor directory_;
  runtime::LoopTimer retry_;
};

}  // namespace pidward::bus
