// Process: one process by its inode, a unit's or one that somebody opened.
#include <csignal>

#include "bus/objects/common.hpp"
#include "bus/objects/tables.hpp"

namespace pidward::bus {
namespace {

void get_pidfd(const CallPtr& call) {
  const auto pidfd = call->services().manager.pidfd_for_client(call->process);
  if (!pidfd) return call->fail(pidfd.error());
  call->reply([&pidfd](Writer& out) { out.h(pidfd->get()); });
}

void send_signal(const CallPtr& call) {
  const int signal = call->in().i();
  reply_status(call, call->services().manager.signal_process(call->process, signal));
}

void signal_tree(const CallPtr& call) {
  const int signal = call->in().i();
  reply_status(call, call->services().manager.signal_tree(call->process, signal));
}

/// Answers when the process has ended. The wait goes when the caller does.
void wait(const CallPtr& call) {
  Clients& clients = call->services().clients;
  const std::string client = call->client();
  const std::uint64_t id = clients.begin_wait(client);
  clients.keep_wait(
      client, id,
      call->services().manager.wait_for_end(call->process, [call, client, id](ExitStatus status) {
        call->reply([status](Writer& out) { out.i(cld_code(status)).i(status.code); });
        call->services().clients.end_wait(client, id);
      }));
}

constexpr Method kProcessObjectMethods[] = {
    {"GetPidfd", "", "", "h", "pidfd", kChange, get_pidfd},
    {"Signal", "i", "signal", "", "", kChange, send_signal},
    {"SignalTree", "i", "signal", "", "", kChange, signal_tree},
    {"Wait", "", "", "ii", "code,status", Access::read, wait},
};

constexpr Property kProcessObjectProperties[] = {
    {"Inode", "t", kConst,
     [](Writer& out, const Subject& s, RowPtr) { out.t(s.process->id.number()); }},
    {"PID", "u", kConst, [](Writer& out, const Subject& s, RowPtr) { out.u(s.process->pid); }},
    {"Unit", "(so)", kNever,
     [](Writer& out, const Subject& s, RowPtr) {
       const std::string name = name_of(s.services, s.process->unit);
       out.open_struct("so").s(name).o(name.empty() ? "/" : unit_path(name)).close();
     }},
    {"Role", "s", kNever,
     [](Writer& out, const Subject& s, RowPtr) { out.s(process::to_string(s.process->role)); }},
    {"Parent", "t", kNever,
     [](Writer& out, const Subject& s, RowPtr) { out.t(s.process->parent.number()); }},
    {"StartTimestamp", "t", kConst,
     [](Writer& out, const Subject& s, RowPtr) {
       out.time(s.process->started.value_or(WallTime()));
     }},
    {"Command", "s", kNever,
     [](Writer& out, const Subject& s, RowPtr) { out.s(s.process->command); }},
    {"Arguments", "as", kNever,
     [](Writer& out, const Subject& s, RowPtr) { out.as(s.process->arguments); }},
    {"UID", "u", kNever, [](Writer& out, const Subject& s, RowPtr) { out.u(s.process->uid); }},
    {"GID", "u", kNever, [](Writer& out, const Subject& s, RowPtr) { out.u(s.process->gid); }},
    {"ControlGroup", "s", kNever,
     [](Writer& out, const Subject& s, RowPtr) { out.s(s.process->control_group); }},
    {"Holders", "u", kNever,
     [](Writer& out, const Subject& s, RowPtr) {
       out.u(static_cast<std::uint32_t>(s.process->leases));
     }},
    {"LastClose", "s", kNever,
     [](Writer& out, const Subject& s, RowPtr) { out.s(policy_text(s.process->last_close)); }},
    {"State", "s", kNever,
     [](Writer& out, const Subject& s, RowPtr) { out.s(s.process->ended ? "ended" : "running"); }},
    {"ExitCode", "i", kNever,
     [](Writer& out, const Subject& s, RowPtr) {
       out.i(cld_code(s.process->exit_status.value_or(ExitStatus{})));
     }},
    {"ExitStatus", "i", kNever,
     [](Writer& out, const Subject& s, RowPtr) {
       out.i(s.process->exit_status.value_or(ExitStatus{}).code);
     }},
};

}  // namespace

void add_process_object(Interface& process) {
  process.add(kProcessObjectMethods);
  process.add(kProcessObjectProperties);
}

}  // namespace pidward::bus
