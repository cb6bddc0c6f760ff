// Manager: what systemd has no word for. Processes by inode, and what the kernel can do.
#include <fmt/core.h>
#include <unistd.h>

#include "bus/objects/common.hpp"
#include "bus/objects/tables.hpp"

namespace pidward::bus {
namespace {

/// ListProcesses(as units) → a(tuusss): inode, pid, parent pid, unit, role, command; no names mean
/// all units.
void list_processes(const CallPtr& call) {
  const Services& services = call->services();
  std::vector<runtime::ProcessInfo> processes;
  const std::vector<std::string> names = call->in().as();
  if (names.empty()) processes = services.manager.list_processes(std::nullopt);
  for (const std::string& name : names) {
    const auto unit = loaded_unit(call, name);
    if (!unit) return;
    for (auto& process : services.manager.list_processes(*unit)) {
      processes.push_back(std::move(process));
    }
  }
  call->reply([&](Writer& out) {
    out.open_array("(tuusss)");
    for (const runtime::ProcessInfo& process : processes) {
      out.open_struct("tuusss")
          .t(process.id.number())
          .u(process.pid)
          .u(process.parent)
          .s(name_of(services, process.unit))
          .s(process::to_string(process.role))
          .s(process.command)
          .close();
    }
    out.close();
  });
}

void answer_process(const CallPtr& call, const Result<process::ProcessHandle>& process) {
  if (!process) return call->fail(process.error());
  const Connection& connection = call->connection();
  const bool trusted = !connection.is_broker() &&
                       (connection.peer().uid == 0 || connection.peer().uid == ::geteuid());
  const std::size_t limit = trusted ? Clients::kMaxProcesses : Clients::kMaxProcessesOfStranger;
  if (!call->services().clients.keep_process(call->client(), *process, limit)) {
    return call->fail(
        Error(Errc::limit_exceeded, fmt::format("this client may ask for {} processes", limit))
            .advise("Close the connection, or use another one"));
  }
  call->reply([&](Writer& out) { out.o(process_path((*process)->id())); });
}

void get_process(const CallPtr& call) {
  answer_process(call, call->services().manager.find_process(ProcessId(call->in().t())));
}

void open_process(const CallPtr& call) {
  answer_process(call, call->services().manager.open_process(call->in().h()));
}

void get_process_by_pid(const CallPtr& call) {
  answer_process(call, call->services().manager.open_process_by_pid(call->in().u()));
}

/// GetKernelFeatures() → a(ssss): name, state, since which Linux, what is done without it.
void get_kernel_features(const CallPtr& call) {
  const sys::KernelFeatures& features = call->services().manager.features();
  call->reply([&](Writer& out) {
    out.open_array("(ssss)");
    for (const sys::FeatureText& text : sys::feature_texts()) {
      const bool has = features.has(text.feature);
      out.open_struct("ssss")
          .s(text.name)
          .s(sys::to_string(features.state(text.feature)))
          .s(text.since)
          .s(has ? text.what : text.instead)
          .close();
    }
    out.close();
  });
}

constexpr Method kManagerProcessMethods[] = {
    {"ListProcesses", "as", "units", "a(tuusss)", "processes", Access::read, list_processes},
    {"GetProcess", "t", "inode", "o", "process", Access::read, get_process},
    {"OpenProcess", "h", "pidfd", "o", "process", Access::read, open_process},
    {"GetProcessByPID", "u", "pid", "o", "process", Access::read, get_process_by_pid},
    {"GetKernelFeatures", "", "", "a(ssss)", "features", Access::read, get_kernel_features},
};

constexpr Signal kManagerProcessSignals[] = {
    {"ProcessNew", "tos", "inode,process,unit"},
    {"ProcessExited", "tosii", "inode,process,unit,code,status"},
};

}  // namespace

void add_process_requests(Interface& manager) {
  manager.add(kManagerProcessMethods);
  manager.add(kManagerProcessSignals);
}

}  // namespace pidward::bus
