// From a message to the row of a table: which object, may the caller, what arguments.
//
// Objects are found when they are called: nothing is registered for a unit. A unit that is not
// loaded is loaded first (clients compute paths themselves and expect that), so a call may be
// answered later than one that came after it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "bus/call.hpp"
#include "bus/polkit.hpp"
#include "bus/services.hpp"

namespace pidward::bus {

class Dispatcher {
 public:
  explicit Dispatcher(Services& services);
  /// The handler of every connection.
  int handle(const std::shared_ptr<Connection>& connection, sd_bus_message* message);
  /// A broker's client left: what was known of it goes.
  void forget_client(const std::string& name);
  void forget_broker_clients();
  /// Where polkit can be asked; null: nowhere.
  void set_system_bus(std::shared_ptr<Connection> bus) { polkit_.set_bus(std::move(bus)); }

 private:
  using Next = std::function<void()>;

  void on_ancestor(const CallPtr& call);
  void on_units(const CallPtr& call, bool jobs);
  void on_unit(const CallPtr& call, const std::string& name);
  void on_process(const CallPtr& call, ProcessId process);
  void on_processes(const CallPtr& call);
  /// What the called object is now; nothing if it is gone.
  [[nodiscard]] std::optional<Subject> subject(const CallPtr& call) const;
  void on_object(const CallPtr& call, std::span<const Interface* const> interfaces,
                 std::vector<std::string> children);
  void run_method(const CallPtr& call, std::span<const Interface* const> interfaces);
  void properties(const CallPtr& call, std::span<const Interface* const> interfaces);
  void get(const CallPtr& call, std::span<const Interface* const> interfaces);
  void get_all(const CallPtr& call, std::span<const Interface* const> interfaces);
  void set(const CallPtr& call, std::span<const Interface* const> interfaces);
  /// Looks up what Subject::files needs, if `wanted`, then goes on.
  void with_files(const CallPtr& call, bool wanted, std::function<void(UnitFileFacts)> next);
  /// Goes on if the caller may change things, and refuses otherwise.
  void authorise(const CallPtr& call, Next next);
  void decide(const CallPtr& call, uid_t uid, const Next& next);
  void ask_for_uid(const CallPtr& call, Next next);
  /// Asks the broker about the caller: GetConnectionUnixUser, GetConnectionUnixProcessID.
  /// UINT32_MAX: it does not say.
  void ask_driver(const CallPtr& call, const char* question,
                  std::function<void(std::uint32_t)> next);
  /// unit/self: the unit the caller is in.
  void on_own_unit(const CallPtr& call, const std::function<void(UnitId)>& found);

  Services& services_;
  Polkit polkit_;
  std::unordered_map<std::string, uid_t> uids_;  ///< of the broker's clients, by unique name
  std::uint64_t next_query_ = 1;
  std::unordered_map<std::uint64_t, SlotPtr> queries_;
};

/// The state of an object as it is now; nothing if the unit or job is gone.
std::optional<Subject> subject_of(const Services& services, UnitId unit, JobId job);

}  // namespace pidward::bus
