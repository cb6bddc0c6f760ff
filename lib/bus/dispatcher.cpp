#include "bus/dispatcher.hpp"

#include <algorithm>

#include <fmt/core.h>
#include <unistd.h>

#include "sys/peer.hpp"

namespace pidward::bus {
namespace {

constexpr std::string_view kPropertiesInterface = "org.freedesktop.DBus.Properties";
constexpr std::string_view kIntrospectable = "org.freedesktop.DBus.Introspectable";
constexpr std::string_view kUnknownObject = "org.freedesktop.DBus.Error.UnknownObject";
constexpr std::string_view kUnknownMethod = "org.freedesktop.DBus.Error.UnknownMethod";
constexpr std::string_view kUnknownInterface = "org.freedesktop.DBus.Error.UnknownInterface";

void unknown_object(const CallPtr& call) {
  call->fail(kUnknownObject, fmt::format("There is no object '{}'.", call->path()));
}

bool needs_files(const Property& property) {
  return property.name == "UnitFileState" || property.name == "UnitFilePreset" ||
         property.name == "NeedDaemonReload";
}

bool may_change(uid_t uid) {
  return uid == 0 || uid == ::geteuid();
}

void refuse(const CallPtr& call, uid_t uid) {
  call->fail(Error(Errc::access_denied,
                   fmt::format("user {} may not call {}: changes are for root and for the user "
                               "that pidward runs as",
                               uid, call->member())));
}

bool check_arguments(const CallPtr& call, std::string_view expected) {
  if (sd_bus_message_has_signature(call->message(), std::string(expected).c_str()) > 0) return true;
  const char* found = sd_bus_message_get_signature(call->message(), 1);
  call->fail(Error(
      Errc::invalid_argument,
      fmt::format("Invalid arguments '{}' to call {}.{}(), expecting '{}'.",
                  found == nullptr ? "" : found, call->interface(), call->member(), expected)));
  return false;
}

}  // namespace

Dispatcher::Dispatcher(Services& services) : services_(services) {}

std::optional<Subject> subject_of(const Services& services, UnitId unit, JobId job) {
  Subject subject{.services = services, .manager = services.manager};
  const engine::Engine& engine = services.manager.engine();
  if (unit) {
    if (!engine.spec(unit)) return std::nullopt;
    subject.unit = engine.status(unit);
  }
  if (job) {
    subject.job = engine.job(job);
    if (!subject.job) return std::nullopt;
  }
  return subject;
}

int Dispatcher::handle(const std::shared_ptr<Connection>& connection, sd_bus_message* message) {
  if (sd_bus_message_is_method_call(message, nullptr, nullptr) <= 0) return 0;
  const CallPtr call = Call::begin(services_, connection, message);
  if (!call) return 1;
  const ObjectName object = parse_object_path(call->path());
  switch (object.kind) {
    case ObjectName::Kind::ancestor:
      on_ancestor(call);
      break;
    case ObjectName::Kind::manager:
      on_object(call, services_.catalogue.manager(), {"unit", "job", "process"});
      break;
    case ObjectName::Kind::units:
      on_units(call, false);
      break;
    case ObjectName::Kind::jobs:
      on_units(call, true);
      break;
    case ObjectName::Kind::unit:
      on_unit(call, object.unit);
      break;
    case ObjectName::Kind::job:
      call->job = object.job;
      if (!services_.manager.engine().job(object.job)) {
        unknown_object(call);
      } else {
        on_object(call, services_.catalogue.job(), {});
      }
      break;
    case ObjectName::Kind::processes:
      on_processes(call);
      break;
    case ObjectName::Kind::process:
      on_process(call, object.process);
      break;
    case ObjectName::Kind::unknown:
      unknown_object(call);
      break;
  }
  return 1;
}

void Dispatcher::on_ancestor(const CallPtr& call) {
  on_object(call, {}, {call->path() == "/" ? "org" : "pidward1"});
}

void Dispatcher::on_units(const CallPtr& call, bool jobs) {
  std::vector<std::string> children;
  if (call->member() == "Introspect") {
    const engine::Engine& engine = services_.manager.engine();
    if (jobs) {
      for (const JobId job : engine.jobs()) children.push_back(std::to_string(job.number()));
    } else {
      for (const UnitId unit : engine.units()) {
        children.push_back(escape_element(engine.spec(unit)->name.str()));
      }
    }
    std::sort(children.begin(), children.end());
  }
  on_object(call, {}, std::move(children));
}

void Dispatcher::on_processes(const CallPtr& call) {
  std::vector<std::string> children;
  if (call->member() == "Introspect") {
    for (const auto& process : services_.manager.list_process_details(std::nullopt)) {
      if (process.id) children.push_back(std::to_string(process.id.number()));
    }
  }
  on_object(call, {}, std::move(children));
}

void Dispatcher::on_process(const CallPtr& call, ProcessId process) {
  auto handle = services_.manager.find_process(process);
  if (!handle) return unknown_object(call);
  call->process = *std::move(handle);
  on_object(call, services_.catalogue.process(), {});
}

std::optional<Subject> Dispatcher::subject(const CallPtr& call) const {
  auto found = subject_of(services_, call->unit, call->job);
  if (found && call->process) found->process = services_.manager.details(call->process);
  return found;
}

void Dispatcher::on_unit(const CallPtr& call, const std::string& name) {
  const engine::Engine& engine = services_.manager.engine();
  const auto found = [this, call](UnitId unit) {
    const auto spec = services_.manager.engine().spec(unit);
    if (!spec) return unknown_object(call);
    call->unit = unit;
    on_object(call, services_.catalogue.unit(spec->name.type()), {});
  };
  if (name == "self") return on_own_unit(call, found);
  if (const auto invocation = InvocationId::parse(name)) {
    for (const UnitId unit : engine.units()) {
      if (engine.status(unit).invocation == *invocation) return found(unit);
    }
    return unknown_object(call);
  }
  const auto parsed = unit::UnitName::parse(name);
  if (!parsed) {
    return call->fail(Error(Errc::invalid_argument,
                            fmt::format("Unit name {} is neither a valid invocation ID nor unit "
                                        "name.",
                                        name)));
  }
  if (const auto unit = engine.find(*parsed)) return found(*unit);
  services_.manager.load(name, [call, found](const Result<UnitId>& loaded) {
    if (!loaded) return call->fail(loaded.error());
    found(*loaded);
  });
}

void Dispatcher::on_object(const CallPtr& call, std::span<const Interface* const> interfaces,
                           std::vector<std::string> children) {
  if (call->interface() == kIntrospectable ||
      (call->interface().empty() && call->member() == "Introspect")) {
    if (!check_arguments(call, "")) return;
    return call->reply([&](Writer& out) { out.s(introspection_xml(interfaces, children)); });
  }
  if (call->interface() == kPropertiesInterface) return properties(call, interfaces);
  run_method(call, interfaces);
}

void Dispatcher::run_method(const CallPtr& call, std::span<const Interface* const> interfaces) {
  bool known_interface = false;
  for (const Interface* interface : interfaces) {
    if (!call->interface().empty() && interface->name() != call->interface()) continue;
    known_interface = true;
    const Method* method = interface->method(call->member());
    if (method == nullptr) continue;
    if (!check_arguments(call, method->in)) return;
    if (method->access == Access::read) return method->run(call);
    return authorise(call, [call, method] { method->run(call); });
  }
  if (known_interface || call->interface().empty()) {
    return call->fail(kUnknownMethod, fmt::format("Unknown method {} or interface {}.",
                                                  call->member(), call->interface()));
  }
  call->fail(interfaces.empty() ? kUnknownObject : kUnknownMethod,
             fmt::format("Object '{}' has no interface {}.", call->path(), call->interface()));
}

void Dispatcher::properties(const CallPtr& call, std::span<const Interface* const> interfaces) {
  if (call->member() == "Get") return get(call, interfaces);
  if (call->member() == "GetAll") return get_all(call, interfaces);
  if (call->member() == "Set") return set(call, interfaces);
  call->fail(kUnknownMethod, fmt::format("Unknown method {}.", call->member()));
}

namespace {

/// The property `name` of `interface`, or of any interface if that is empty.
const Property* find_property(std::span<const Interface* const> interfaces,
                              std::string_view interface, std::string_view name) {
  for (const Interface* candidate : interfaces) {
    if (!interface.empty() && candidate->name() != interface) continue;
    if (const Property* property = candidate->property(name)) return property;
  }
  return nullptr;
}

void unknown_property(const CallPtr& call, const std::string& interface, const std::string& name) {
  call->fail("org.freedesktop.DBus.Error.UnknownProperty",
             fmt::format("Unknown interface {} or property {}.", interface, name));
}

}  // namespace

void Dispatcher::with_files(const CallPtr& call, bool wanted,
                            std::function<void(UnitFileFacts)> next) {
  const auto spec = call->unit ? services_.manager.engine().spec(call->unit) : nullptr;
  if (!wanted || !spec) return next({});
  const std::string name = spec->name.str();
  const auto facts = std::make_shared<UnitFileFacts>();
  runtime::Manager& manager = services_.manager;
  // Nobody may have held the unit, and it may have been dropped meanwhile.
  next = [&manager, call, name, next = std::move(next)](UnitFileFacts known) {
    if (manager.engine().spec(call->unit)) return next(std::move(known));
    manager.load(name, [call, next, known = std::move(known)](const Result<UnitId>& again) {
      if (!again) return call->fail(again.error());
      call->unit = *again;
      next(known);
    });
  };
  manager.unit_file_state(
      name, [&manager, name, unit = call->unit, facts, next](const Result<std::string>& state) {
        if (state) facts->state = *state;
        manager.unit_file_preset(
            name, [&manager, unit, facts, next](const Result<std::string>& preset) {
              if (preset) facts->preset = *preset;
              manager.needs_reload(unit, [facts, next](const Result<bool>& changed) {
                facts->changed = changed && *changed;
                next(std::move(*facts));
              });
            });
      });
}

void Dispatcher::get(const CallPtr& call, std::span<const Interface* const> interfaces) {
  if (!check_arguments(call, "ss")) return;
  const std::string interface = call->in().s();
  const std::string name = call->in().s();
  const Property* property = find_property(interfaces, interface, name);
  if (property == nullptr) return unknown_property(call, interface, name);
  with_files(call, needs_files(*property), [this, call, property](UnitFileFacts files) {
    auto subject = this->subject(call);
    if (!subject) return unknown_object(call);
    subject->files = std::move(files);
    call->reply([&](Writer& out) {
      out.open_variant(std::string(property->type).c_str());
      property->write(out, *subject, property->setting);
      out.close();
    });
  });
}

void Dispatcher::get_all(const CallPtr& call, std::span<const Interface* const> interfaces) {
  if (!check_arguments(call, "s")) return;
  const std::string wanted = call->in().s();
  std::vector<const Interface*> chosen;
  bool files = false;
  for (const Interface* interface : interfaces) {
    if (!wanted.empty() && interface->name() != wanted) continue;
    chosen.push_back(interface);
    files = files || interface->property("UnitFileState") != nullptr;
  }
  const bool standard = wanted.substr(0, 21) == "org.freedesktop.DBus.";
  if (chosen.empty() && !wanted.empty() && !standard) {
    return call->fail(kUnknownInterface, fmt::format("Unknown interface {}.", wanted));
  }
  with_files(call, files, [this, call, chosen](UnitFileFacts facts) {
    auto subject = this->subject(call);
    if (!subject) return unknown_object(call);
    subject->files = std::move(facts);
    call->reply([&](Writer& out) {
      out.open_array("{sv}");
      for (const Interface* interface : chosen) {
        write_properties(out, *interface, *subject, [](const Property&) { return true; });
      }
      out.close();
    });
  });
}

void Dispatcher::set(const CallPtr& call, std::span<const Interface* const> interfaces) {
  if (!check_arguments(call, "ssv")) return;
  const std::string interface = call->in().s();
  const std::string name = call->in().s();
  const Property* property = find_property(interfaces, interface, name);
  if (property == nullptr) return unknown_property(call, interface, name);
  if (property->set == nullptr) {
    return call->fail("org.freedesktop.DBus.Error.PropertyReadOnly",
                      fmt::format("Property {} is read-only.", name));
  }
  authorise(call, [this, call, property] {
    std::string found;
    call->in().peek(found);
    if (found != property->type) {
      return call->fail(
          Error(Errc::invalid_argument, fmt::format("Property {} has type '{}', not '{}'.",
                                                    property->name, property->type, found)));
    }
    const auto subject = this->subject(call);
    if (!subject) return unknown_object(call);
    call->in().enter('v', found.c_str());
    const Status status = property->set(*subject, call->in());
    if (!status) return call->fail(status.error());
    call->reply();
  });
}

void Dispatcher::authorise(const CallPtr& call, Next next) {
  if (!call->connection().is_broker()) {
    return decide(call, call->connection().peer().uid, next);
  }
  const auto known = uids_.find(std::string(call->sender()));
  if (known == uids_.end()) return ask_for_uid(call, std::move(next));
  decide(call, known->second, next);
}

void Dispatcher::decide(const CallPtr& call, uid_t uid, const Next& next) {
  call->uid = uid;
  if (may_change(uid)) return next();
  polkit_.ask(call, services_.manager.features(), [call, uid, next](Polkit::Verdict verdict) {
    switch (verdict) {
      case Polkit::Verdict::yes:
        return next();
      case Polkit::Verdict::needs_password:
        return call->fail("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired",
                          "Interactive authentication required.");
      case Polkit::Verdict::no:
      case Polkit::Verdict::absent:
        return refuse(call, uid);
    }
  });
}

void Dispatcher::ask_driver(const CallPtr& call, const char* question,
                            std::function<void(std::uint32_t)> next) {
  sd_bus_message* raw = nullptr;
  if (sd_bus_message_new_method_call(call->connection().get(), &raw, "org.freedesktop.DBus",
                                     "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                     question) < 0) {
    return next(UINT32_MAX);
  }
  const MessageRef message = MessageRef::adopt(raw);
  Writer(raw).s(call->sender());
  const std::uint64_t id = next_query_++;
  auto slot = call->connection().call(message, [this, id, next](sd_bus_message* answer) {
    const auto finished = queries_.extract(id);
    Reader in(answer);
    const bool failed = sd_bus_message_is_method_error(answer, nullptr) > 0;
    const std::uint32_t number = failed ? UINT32_MAX : in.u();
    next(in.error() == 0 ? number : UINT32_MAX);
  });
  if (!slot) return next(UINT32_MAX);
  queries_[id] = std::move(*slot);
}

void Dispatcher::ask_for_uid(const CallPtr& call, Next next) {
  const std::string sender(call->sender());
  ask_driver(
      call, "GetConnectionUnixUser",
      [this, call, sender, next = std::move(next)](std::uint32_t uid) {
        if (uid == UINT32_MAX) {
          return call->fail(Error(Errc::access_denied, "the bus does not say who the caller is"));
        }
        uids_[sender] = uid;
        decide(call, uid, next);
      });
}

void Dispatcher::on_own_unit(const CallPtr& call, const std::function<void(UnitId)>& found) {
  const auto answer = [call, found](const Result<UnitId>& unit) {
    unit ? found(*unit)
         : call->fail("org.pidward1.NoUnitForPID", "The caller is in no unit of this pidward.");
  };
  if (call->connection().is_broker()) {
    return ask_driver(call, "GetConnectionUnixProcessID", [this, answer](std::uint32_t pid) {
      answer(services_.manager.unit_by_pid(pid));
    });
  }
  const auto peer =
      sys::peer_pidfd(sd_bus_get_fd(call->connection().get()), services_.manager.features());
  answer(peer ? services_.manager.unit_of(*peer) : Result<UnitId>(peer.error()));
}

void Dispatcher::forget_client(const std::string& name) {
  uids_.erase(name);
}

void Dispatcher::forget_broker_clients() {
  uids_.clear();
  queries_.clear();
}

}  // namespace pidward::bus
