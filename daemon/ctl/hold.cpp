// hold: a unit runs for as long as a command does. We hold the lease, the command is our child and
// dies with us, so that however one of the three ends, the others follow.
#include <cerrno>
#include <csignal>

#include <fmt/core.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "bus/object_path.hpp"
#include "ctl/job_waiter.hpp"
#include "ctl/outcome.hpp"
#include "ctl/verbs.hpp"
#include "sys/clone.hpp"
#include "unit/name.hpp"

namespace pidward::ctl {
namespace {

constexpr int kCannotRun = 127;
constexpr std::size_t kStack = std::size_t{256} * 1024;

/// In a child with a copy of our memory.
int run_command(void* argument) {
  const auto& words = *static_cast<const std::vector<std::string>*>(argument);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  ::execvp(arguments[0], arguments.data());
  complain(fmt::format("cannot run {}: {}", words[0], Error::from_errno(errno, "exec").message()));
  return kCannotRun;
}

/// The terminal's signals are for the command; we wait for what it makes of them.
class LeaveSignalsToChild {
 public:
  LeaveSignalsToChild() {
    interrupt_ = std::signal(SIGINT, SIG_IGN);
    quit_ = std::signal(SIGQUIT, SIG_IGN);
  }
  ~LeaveSignalsToChild() {
    std::signal(SIGINT, interrupt_);
    std::signal(SIGQUIT, quit_);
  }
  LeaveSignalsToChild(const LeaveSignalsToChild&) = delete;
  LeaveSignalsToChild& operator=(const LeaveSignalsToChild&) = delete;

 private:
  void (*interrupt_)(int);
  void (*quit_)(int);
};

Result<ExitStatus> run_to_end(std::vector<std::string> words) {
  PIDWARD_TRY(const sys::ChildStack stack, sys::ChildStack::create(kStack));
  PIDWARD_TRY(const sys::Child child,
              sys::spawn_on_stack({.share_memory = false}, stack, run_command, &words));
  const LeaveSignalsToChild ours;
  for (;;) {
    PIDWARD_TRY(const auto end, child.pidfd.reap());
    if (end) return end->status;
    pollfd wait{.fd = child.pidfd.get(), .events = POLLIN, .revents = 0};
    if (::poll(&wait, 1, -1) < 0 && errno != EINTR) return Error::from_errno(errno, "poll");
  }
}

}  // namespace

int run_hold(Session& session) {
  const std::vector<std::string>& names = session.options().names;
  if (names.size() < 2) {
    return session.fail(
        "hold takes a unit and a command: pidwardctl hold UNIT -- COMMAND [ARGUMENTS]");
  }
  const auto unit = unit::UnitName::mangle(names[0]);
  if (!unit) return session.fail(unit.error());
  JobWaiter waiter(session);
  if (const Status watching = waiter.watch(); !watching) {
    return session.fail(watching.error());
  }
  const auto answer = session.client().manager(
      "LeaseUnit", [&](bus::Writer& out) { out.s(unit->str()).s(session.options().job_mode); });
  if (!answer) {
    session.fail(answer.error());
    return exit_code_of(answer.error());
  }
  bus::Reader in(answer->get());
  waiter.add(in.o(), unit->str());
  const sys::Fd lease = in.h();
  if (in.error() != 0) return session.fail(Error::from_errno(in.error(), "reading the lease"));
  if (const int started = waiter.wait("start"); started != kSuccess) {
    if (session.options().json) {
      say_json(failed_outcome(unit->str(), Error(Errc::failed, "The unit was not started")));
    }
    return started;
  }
  const auto status = run_to_end({names.begin() + 1, names.end()});
  if (!status) return session.fail(status.error());
  const bool killed =
      status->kind == ExitStatus::Kind::killed || status->kind == ExitStatus::Kind::dumped;
  const int code = killed ? exit_code_of_process(CLD_KILLED, status->code) : status->code;
  if (session.options().json) {
    nlohmann::json told{{"unit", unit->str()}};
    const std::uint64_t how = status->kind == ExitStatus::Kind::dumped ? CLD_DUMPED
                              : killed                                 ? CLD_KILLED
                                                                       : CLD_EXITED;
    add_process_end(told, how, status->code);
    say_json(told);
  }
  return code;
}

}  // namespace pidward::ctl
