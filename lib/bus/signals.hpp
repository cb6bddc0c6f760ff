// Change signals: what the manager tells its observer, as D-Bus signals on every door.
//
// A signal is written once and sent to all private connections; the broker gets its own copy, and
// only while a client of the broker subscribed (or asked for the job it is about).
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "bus/connection.hpp"
#include "bus/services.hpp"

namespace pidward::bus {

class Signals final : public runtime::ManagerObserver {
 public:
  /// Watches the manager from now until it is destroyed.
  explicit Signals(Services& services);
  ~Signals() override;

  void add(std::shared_ptr<Connection> connection);
  void remove(const std::shared_ptr<Connection>& connection);
  /// The broker, or null while there is none.
  void set_broker(std::shared_ptr<Connection> broker) { broker_ = std::move(broker); }
  /// Where requests to watch a bus name go, those of before included.
  void set_name_watcher(std::function<void(const std::string&, bool)> watcher);
  [[nodiscard]] const std::set<std::shared_ptr<Connection>>& connections() const {
    return private_;
  }

  void unit_added(UnitId unit, const unit::UnitName& name) override;
  void unit_removed(UnitId unit, const unit::UnitName& name) override;
  void unit_changed(UnitId unit) override;
  void job_added(JobId job, UnitId unit, const unit::UnitName& name) override;
  void job_changed(JobId job) override;
  void job_removed(JobId job, UnitId unit, const unit::UnitName& name,
                   engine::JobResult result) override;
  void reloading(bool begins) override;
  void unit_files_changed() override;
  void startup_finished() override;
  void process_added(ProcessId process) override;
  void process_exited(ProcessId process) override;
  void watch_bus_name(const std::string& name, bool watch) override;
  bool request_stop(UnitId unit, const std::string& controller) override;

 private:
  struct Address {
    std::string path;
    const char* interface;
    const char* member;
  };
  void emit(const Address& address, bool to_broker, const std::function<void(Writer&)>& fill);
  void emit_to(Connection& maker, const Address& address, const std::function<void(Writer&)>& fill,
               const std::function<void(sd_bus_message*)>& send);
  void manager_signal(const char* member, bool to_broker, const std::function<void(Writer&)>& fill);
  void properties_changed(const std::string& path, const Interface& interface,
                          const Subject& subject);
  void flush();
  void flush_unit(UnitId unit);
  void flush_failed_count();
  void schedule_flush();
  [[nodiscard]] bool nobody_listens() const { return private_.empty() && !broker_listens(); }
  [[nodiscard]] bool broker_listens() const {
    return broker_ != nullptr && services_.clients.broker_listens();
  }

  Services& services_;
  std::set<std::shared_ptr<Connection>> private_;
  std::shared_ptr<Connection> broker_;
  std::function<void(const std::string&, bool)> name_watcher_;
  std::set<std::string> watched_names_;
  std::set<UnitId> dirty_;
  std::uint32_t failed_told_ = 0;
  bool is_flush_posted_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace pidward::bus
