#include "bus/polkit.hpp"

#include "sys/peer.hpp"
#include "sys/proc.hpp"

namespace pidward::bus {
namespace {

constexpr const char* kName = "org.freedesktop.PolicyKit1";
/// A person may have to type a password.
constexpr std::uint64_t kPatienceUsec = 300ULL * 1000 * 1000;

/// Who calls, as polkit is told: the name on the bus, or the process at the other end of a private
/// socket by number, start time and user, which together belong to one process alone.
Status write_subject(Writer& out, const CallPtr& call, const sys::KernelFeatures& features) {
  if (call->connection().is_broker()) {
    out.open_struct("sa{sv}").s("system-bus-name").open_array("{sv}");
    out.open_dict("sv").s("name").open_variant("s").s(call->sender()).close().close();
    out.close().close();
    return {};
  }
  PIDWARD_TRY(const sys::Pidfd peer,
              sys::peer_pidfd(sd_bus_get_fd(call->connection().get()), features));
  PIDWARD_TRY(const sys::ProcStat stat, sys::stat_of(peer));
  out.open_struct("sa{sv}").s("unix-process").open_array("{sv}");
  out.open_dict("sv").s("pid").open_variant("u").u(static_cast<std::uint32_t>(stat.pid));
  out.close().close();
  out.open_dict("sv").s("start-time").open_variant("t").t(stat.start_ticks).close().close();
  out.open_dict("sv").s("uid").open_variant("i");
  out.i(static_cast<std::int32_t>(call->connection().peer().uid)).close().close();
  out.close().close();
  return {};
}

Polkit::Verdict read_answer(sd_bus_message* answer) {
  if (answer == nullptr || sd_bus_message_is_method_error(answer, nullptr) > 0) {
    return Polkit::Verdict::absent;
  }
  Reader in(answer);
  in.enter('r', "bba{ss}");
  const bool allowed = in.b();
  const bool challenge = in.b();
  if (in.error() != 0) return Polkit::Verdict::absent;
  if (allowed) return Polkit::Verdict::yes;
  return challenge ? Polkit::Verdict::needs_password : Polkit::Verdict::no;
}

}  // namespace

std::string_view polkit_action(std::string_view member) {
  if (member.find("UnitFiles") != std::string_view::npos || member == "SetDefaultTarget") {
    return "org.pidward1.manage-unit-files";
  }
  if (member == "Reload" || member == "ReloadAndReport" || member == "Exit") {
    return "org.pidward1.reload-daemon";
  }
  if (member.find("Environment") != std::string_view::npos) return "org.pidward1.set-environment";
  return "org.pidward1.manage-units";
}

void Polkit::set_bus(std::shared_ptr<Connection> bus) {
  bus_ = std::move(bus);
  if (!bus_) questions_.clear();
}

void Polkit::ask(const CallPtr& call, const sys::KernelFeatures& features, Answer answer) {
  sd_bus_message* raw = nullptr;
  if (!bus_ || !bus_->is_open() ||
      sd_bus_message_new_method_call(
          bus_->get(), &raw, kName, "/org/freedesktop/PolicyKit1/Authority",
          "org.freedesktop.PolicyKit1.Authority", "CheckAuthorization") < 0) {
    return answer(Verdict::absent);
  }
  const MessageRef question = MessageRef::adopt(raw);
  sd_bus_message_set_auto_start(raw, 0);
  Writer out(raw);
  if (!write_subject(out, call, features)) return answer(Verdict::absent);
  const bool interactive = sd_bus_message_get_allow_interactive_authorization(call->message()) > 0;
  out.s(polkit_action(call->member())).open_array("{ss}");
  out.open_dict("ss").s("verb").s(call->member()).close();
  out.close().u(interactive ? 1 : 0).s("");
  if (out.error() != 0) return answer(Verdict::absent);
  const std::uint64_t id = next_++;
  auto slot = bus_->call(
      question,
      [this, id, answer](sd_bus_message* reply) {
        const auto finished = questions_.extract(id);
        answer(read_answer(reply));
      },
      kPatienceUsec);
  if (!slot) return answer(Verdict::absent);
  questions_[id] = std::move(*slot);
}

}  // namespace pidward::bus
