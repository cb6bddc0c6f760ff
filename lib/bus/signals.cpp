#include "bus/signals.hpp"

#include <algorithm>

#include <boost/asio/post.hpp>

#include "bus/dispatcher.hpp"
#include "bus/memory.hpp"
#include "bus/object_path.hpp"
#include "bus/objects/common.hpp"

namespace pidward::bus {

Signals::Signals(Services& services) : services_(services) {
  services_.manager.add_observer(this);
}

Signals::~Signals() {
  services_.manager.remove_observer(this);
}

void Signals::add(std::shared_ptr<Connection> connection) {
  private_.insert(std::move(connection));
}

void Signals::remove(const std::shared_ptr<Connection>& connection) {
  private_.erase(connection);
}

void Signals::emit_to(Connection& maker, const Address& address,
                      const std::function<void(Writer&)>& fill,
                      const std::function<void(sd_bus_message*)>& send) {
  sd_bus_message* raw = nullptr;
  if (checked(sd_bus_message_new_signal(maker.get(), &raw, address.path.c_str(), address.interface,
                                        address.member)) < 0) {
    return;
  }
  const MessageRef message = MessageRef::adopt(raw);
  Writer out(raw);
  fill(out);
  if (checked(-out.error()) == 0) return send(raw);
  log(LogLevel::error,
      Error::from_errno(out.error(), "bus: a signal could not be written").to_string());
}

void Signals::emit(const Address& address, bool to_broker,
                   const std::function<void(Writer&)>& fill) {
  const auto open = std::find_if(private_.begin(), private_.end(),
                                 [](const auto& connection) { return connection->is_open(); });
  if (open != private_.end()) {
    emit_to(**open, address, fill, [this](sd_bus_message* message) {
      for (const auto& connection : private_) connection->send(message);
    });
  }
  if (to_broker && broker_ != nullptr && broker_->is_open()) {
    emit_to(*broker_, address, fill, [this](sd_bus_message* message) { broker_->send(message); });
  }
}

void Signals::manager_signal(const char* member, bool to_broker,
                             const std::function<void(Writer&)>& fill) {
  emit({.path = kManagerPath, .interface = kManagerInterface, .member = member}, to_broker, fill);
}

void Signals::properties_changed(const std::string& path, const Interface& interface,
                                 const Subject& subject) {
  if (!interface.announces_changes()) return;
  const Address address{
      .path = path, .interface = "org.freedesktop.DBus.Properties", .member = "PropertiesChanged"};
  emit(address, broker_listens(), [&](Writer& out) {
    out.s(interface.name()).open_array("{sv}");
    write_properties(out, interface, subject,
                     [](const Property& property) { return property.announce == Announce::emits; });
    out.close().open_array("s");
    for (const Property& property : interface.properties()) {
      if (property.announce == Announce::invalidates) out.s(property.name);
    }
    out.close();
  });
}

void Signals::unit_added(UnitId /*unit*/, const unit::UnitName& name) {
  manager_signal("UnitNew", broker_listens(),
                 [&](Writer& out) { out.s(name.str()).o(unit_path(name.str())); });
}

void Signals::unit_removed(UnitId unit, const unit::UnitName& name) {
  dirty_.erase(unit);
  services_.clients.forget_unit(unit);
  manager_signal("UnitRemoved", broker_listens(),
                 [&](Writer& out) { out.s(name.str()).o(unit_path(name.str())); });
}

void Signals::unit_changed(UnitId unit) {
  if (nobody_listens()) return;
  dirty_.insert(unit);
  schedule_flush();
}

void Signals::job_added(JobId job, UnitId unit, const unit::UnitName& name) {
  manager_signal("JobNew", broker_listens() || services_.broker_requests > 0,
                 [&](Writer& out) { out.u(job.number()).o(job_path(job)).s(name.str()); });
  unit_changed(unit);
}

void Signals::job_changed(JobId job) {
  if (nobody_listens()) return;
  if (const auto subject = subject_of(services_, UnitId(), job)) {
    for (const Interface* interface : services_.catalogue.job()) {
      properties_changed(job_path(job), *interface, *subject);
    }
  }
}

void Signals::job_removed(JobId job, UnitId unit, const unit::UnitName& name,
                          engine::JobResult result) {
  // Whoever waits for the job reads the unit next: its news must have gone out before.
  if (!nobody_listens()) flush_unit(unit);
  const bool asked_for = services_.broker_jobs.erase(job) > 0 || services_.broker_requests > 0;
  manager_signal("JobRemoved", broker_listens() || asked_for, [&](Writer& out) {
    out.u(job.number()).o(job_path(job)).s(name.str()).s(engine::to_string(result));
  });
}

void Signals::reloading(bool begins) {
  manager_signal("Reloading", broker_listens(), [&](Writer& out) { out.b(begins); });
}

void Signals::unit_files_changed() {
  manager_signal("UnitFilesChanged", broker_listens(), [](Writer&) {});
}

void Signals::startup_finished() {
  const auto begun = services_.manager.startup_time().mono;
  const auto finished = services_.manager.finished_time().mono;
  const auto took = static_cast<std::uint64_t>(std::max(finished - begun, Duration()).count());
  manager_signal("StartupFinished", broker_listens(),
                 [&](Writer& out) { out.t(0).t(0).t(0).t(0).t(took).t(took); });
}

void Signals::process_added(ProcessId process) {
  if (nobody_listens()) return;
  const auto handle = services_.manager.find_process(process);
  if (!handle) return;
  manager_signal("ProcessNew", broker_listens(), [&](Writer& out) {
    out.t(process.number()).o(process_path(process)).s(name_of(services_, (*handle)->unit()));
  });
}

void Signals::process_exited(ProcessId process) {
  if (nobody_listens()) return;
  const auto handle = services_.manager.find_process(process);
  if (!handle) return;
  const ExitStatus status = (*handle)->exit_status().value_or(ExitStatus{});
  manager_signal("ProcessExited", broker_listens(), [&](Writer& out) {
    out.t(process.number()).o(process_path(process)).s(name_of(services_, (*handle)->unit()));
    out.i(cld_code(status)).i(status.code);
  });
}

void Signals::set_name_watcher(std::function<void(const std::string&, bool)> watcher) {
  name_watcher_ = std::move(watcher);
  for (const std::string& name : watched_names_) name_watcher_(name, true);
}

void Signals::watch_bus_name(const std::string& name, bool watch) {
  if (watch) {
    watched_names_.insert(name);
  } else {
    watched_names_.erase(name);
  }
  if (name_watcher_) name_watcher_(name, watch);
}

bool Signals::request_stop(UnitId unit, const std::string& controller) {
  if (broker_ == nullptr || !broker_->is_open()) return false;
  bool sent = false;
  emit_to(
      *broker_,
      {.path = path_of(services_, unit), .interface = kScopeInterface, .member = "RequestStop"},
      [](Writer&) {},
      [&](sd_bus_message* message) {
        sent = checked(sd_bus_message_set_destination(message, controller.c_str())) >= 0 &&
               broker_->send(message);
      });
  return sent;
}

void Signals::schedule_flush() {
  if (is_flush_posted_) return;
  is_flush_posted_ = true;
  boost::asio::post(services_.io, [this, alive = std::weak_ptr<bool>(alive_)] {
    if (alive.expired()) return;
    is_flush_posted_ = false;
    flush();
  });
}

void Signals::flush() {
  while (!dirty_.empty()) flush_unit(*dirty_.begin());
  flush_failed_count();
}

void Signals::flush_unit(UnitId unit) {
  dirty_.erase(unit);
  const auto subject = subject_of(services_, unit, JobId());
  if (!subject) return;
  const std::string path = unit_path(subject->spec().name.str());
  // The type's own interface comes before Unit's, as systemd sends them.
  for (const Interface* interface : services_.catalogue.unit(subject->spec().name.type())) {
    properties_changed(path, *interface, *subject);
  }
}

void Signals::flush_failed_count() {
  std::uint32_t failed = 0;
  for (const UnitId unit : services_.manager.engine().units()) {
    if (services_.manager.engine().status(unit).active == engine::ActiveState::failed) ++failed;
  }
  if (failed == failed_told_) return;
  failed_told_ = failed;
  if (const auto subject = subject_of(services_, UnitId(), JobId())) {
    for (const Interface* interface : services_.catalogue.manager()) {
      properties_changed(kManagerPath, *interface, *subject);
    }
  }
}

}  // namespace pidward::bus
