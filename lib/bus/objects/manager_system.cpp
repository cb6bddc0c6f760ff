// Manager: the daemon itself. Reload, environment, subscriptions, the end.
#include <fmt/core.h>

#include "bus/dump.hpp"
#include "bus/objects/common.hpp"
#include "bus/objects/tables.hpp"
#include "sys/fd.hpp"

namespace pidward::bus {
namespace {

using Diagnostics = std::vector<unit::Diagnostic>;

void reload(const CallPtr& call) {
  call->services().manager.reload([call](const Result<Diagnostics>& found) {
    if (!found) return call->fail(found.error());
    call->reply();
  });
}

void reload_and_report(const CallPtr& call) {
  call->services().manager.reload([call](const Result<Diagnostics>& found) {
    if (!found) return call->fail(found.error());
    call->reply([&](Writer& out) { write_diagnostics(out, *found); });
  });
}

void subscribe(const CallPtr& call) {
  // On the private socket every signal goes to everyone; subscribing is harmless there.
  if (!call->connection().is_broker()) return call->reply();
  if (!call->services().clients.subscribe(call->client())) {
    return call->fail("org.pidward1.AlreadySubscribed", "Client is already subscribed.");
  }
  call->reply();
}

void unsubscribe(const CallPtr& call) {
  if (!call->connection().is_broker()) return call->reply();
  if (!call->services().clients.unsubscribe(call->client())) {
    return call->fail("org.pidward1.NotSubscribed", "Client is not subscribed.");
  }
  call->reply();
}

void set_environment(const CallPtr& call) {
  reply_status(call, call->services().manager.set_environment(call->in().as()));
}

void unset_environment(const CallPtr& call) {
  call->services().manager.unset_environment(call->in().as());
  call->reply();
}

void unset_and_set_environment(const CallPtr& call) {
  const std::vector<std::string> names = call->in().as();
  const std::vector<std::string> assignments = call->in().as();
  runtime::Manager& manager = call->services().manager;
  const std::vector<std::string> before = manager.environment();
  manager.unset_environment(names);
  const Status status = manager.set_environment(assignments);
  if (!status) {
    // One request is done as a whole or not at all; what was there was valid.
    static_cast<void>(manager.set_environment(before));
    return call->fail(status.error());
  }
  call->reply();
}

void dump(const CallPtr& call) {
  call->reply([&](Writer& out) { out.s(dump_text(call->services(), {})); });
}
void dump_matching(const CallPtr& call) {
  const std::vector<std::string> patterns = call->in().as();
  call->reply([&](Writer& out) { out.s(dump_text(call->services(), patterns)); });
}
void answer_with_file(const CallPtr& call, const std::vector<std::string>& patterns) {
  const auto file = sys::make_memfd("pidward-dump", dump_text(call->services(), patterns));
  if (!file) return call->fail(file.error());
  call->reply([&](Writer& out) { out.h(file->get()); });
}
void dump_to_file(const CallPtr& call) {
  answer_with_file(call, {});
}
void dump_matching_to_file(const CallPtr& call) {
  answer_with_file(call, call->in().as());
}

void set_exit_code(const CallPtr& call) {
  call->services().exit_code = call->in().y();
  call->reply();
}

void exit(const CallPtr& call) {
  call->reply();
  call->services().manager.request_exit(call->services().exit_code);
}

/// Whoever asked sees the connection close, as with systemd; an answer is always a refusal.
void reexecute(const CallPtr& call) {
  const Status refused = call->services().manager.reexecute();
  call->fail(refused.error());
}

constexpr Method kSystemMethods[] = {
    {"Reload", "", "", "", "", kChange, reload},
    {"ReloadAndReport", "", "", "a(ssuus)", "diagnostics", kChange, reload_and_report},
    {"Reexecute", "", "", "", "", kChange, reexecute},
    {"Subscribe", "", "", "", "", kRead, subscribe},
    {"Unsubscribe", "", "", "", "", kRead, unsubscribe},
    {"SetEnvironment", "as", "assignments", "", "", kChange, set_environment},
    {"UnsetEnvironment", "as", "names", "", "", kChange, unset_environment},
    {"UnsetAndSetEnvironment", "asas", "names,assignments", "", "", kChange,
     unset_and_set_environment},
    {"Dump", "", "", "s", "output", kRead, dump},
    {"DumpUnitsMatchingPatterns", "as", "patterns", "s", "output", kRead, dump_matching},
    {"DumpByFileDescriptor", "", "", "h", "fd", kRead, dump_to_file},
    {"DumpUnitsMatchingPatternsByFileDescriptor", "as", "patterns", "h", "fd", kRead,
     dump_matching_to_file},
    {"SetExitCode", "y", "number", "", "", kChange, set_exit_code},
    {"Exit", "", "", "", "", kChange, exit},
};

constexpr Signal kSystemSignals[] = {
    {"StartupFinished", "tttttt", "firmware,loader,kernel,initrd,userspace,total"},
    {"Reloading", "b", "active"},
};

}  // namespace

void add_system(Interface& manager) {
  manager.add(kSystemMethods);
  manager.add(kSystemSignals);
}

}  // namespace pidward::bus
