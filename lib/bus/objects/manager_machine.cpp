// Manager: what systemd's has because it is the init of a machine. pidward answers what is true of
// it: it has no part in the boot, leaves the machine's power alone and makes no users.
#include <algorithm>
#include <array>

#include <fmt/core.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "bus/objects/common.hpp"
#include "bus/objects/tables.hpp"

namespace pidward::bus {
namespace {

void refuse_power(const CallPtr& call) {
  call->fail(Error(Errc::not_supported,
                   "pidward is not the init of this system and leaves its power alone.")
                 .advise("Ask the init, for instance with 'systemctl reboot'"));
}

void refuse_mounts(const CallPtr& call) {
  call->fail(Error(Errc::not_supported,
                   "pidward gives services no mount namespace that could be mounted into."));
}

void ignore_text(const CallPtr& call) {
  static_cast<void>(call->in().s());
  call->reply();
}

/// Nothing can be marked here, so nothing is queued.
void enqueue_marked(const CallPtr& call) {
  call->reply([](Writer& out) { out.empty("ao"); });
}

void no_such_user(const CallPtr& call) {
  call->fail("org.pidward1.NoSuchDynamicUser", "pidward makes no users: there is no such one.");
}

/// The job that waits for the old unit is replaced by one for the new (StartUnitReplace).
void start_replace(const CallPtr& call) {
  const std::string old_name = call->in().s();
  const std::string new_name = call->in().s();
  const std::string mode = call->in().s();
  const engine::Engine& engine = call->services().manager.engine();
  const auto parsed = unit::UnitName::parse(old_name);
  const auto old_unit = parsed ? engine.find(*parsed) : std::nullopt;
  const JobId job = old_unit ? engine.status(*old_unit).job : JobId();
  const auto status = job ? engine.job(job) : std::nullopt;
  if (!status || status->type != engine::JobType::start) {
    return call->fail(Error(Errc::no_such_job, fmt::format("No job queued for unit {}", old_name)));
  }
  if (Status cancelled = call->services().manager.cancel(job); !cancelled) {
    return call->fail(cancelled.error());
  }
  request_job(call, {.unit = new_name, .type = engine::JobType::start, .mode = mode});
}

constexpr Method kMachineMethods[] = {
    {"StartUnitReplace", "sss", "old_unit,new_unit,mode", "o", "job", kChange, start_replace},
    {"SetShowStatus", "s", "mode", "", "", kChange, ignore_text},
    {"EnqueueMarkedJobs", "", "", "ao", "jobs", kChange, enqueue_marked},
    {"BindMountUnit", "sssbb", "name,source,destination,read_only,mkdir", "", "", kChange,
     refuse_mounts},
    {"MountImageUnit", "sssbba(ss)", "name,source,destination,read_only,mkdir,options", "", "",
     kChange, refuse_mounts},
    {"Reboot", "", "", "", "", kChange, refuse_power},
    {"PowerOff", "", "", "", "", kChange, refuse_power},
    {"Halt", "", "", "", "", kChange, refuse_power},
    {"KExec", "", "", "", "", kChange, refuse_power},
    {"SwitchRoot", "ss", "new_root,init", "", "", kChange, refuse_power},
    {"LookupDynamicUserByName", "s", "name", "u", "uid", kRead, no_such_user},
    {"LookupDynamicUserByUID", "u", "uid", "s", "name", kRead, no_such_user},
    {"GetDynamicUsers", "", "", "a(us)", "users", kRead,
     [](const CallPtr& call) { call->reply([](Writer& out) { out.empty("a(us)"); }); }},
};

void never(Writer& out, const Subject& /*subject*/, RowPtr /*row*/) {
  out.t(0);
}
void no_limit(Writer& out, const Subject& /*subject*/, RowPtr /*row*/) {
  out.t(unit::kNoLimit);
}

#define PIDWARD_NEVER(name)              \
  {name, "t", kConst, never}, {          \
    name "Monotonic", "t", kConst, never \
  }

constexpr Property kBoot[] = {
    PIDWARD_NEVER("SecurityStartTimestamp"),
    PIDWARD_NEVER("SecurityFinishTimestamp"),
    PIDWARD_NEVER("GeneratorsStartTimestamp"),
    PIDWARD_NEVER("GeneratorsFinishTimestamp"),
    PIDWARD_NEVER("UnitsLoadStartTimestamp"),
    PIDWARD_NEVER("UnitsLoadFinishTimestamp"),
    PIDWARD_NEVER("UnitsLoadTimestamp"),
    PIDWARD_NEVER("InitRDSecurityStartTimestamp"),
    PIDWARD_NEVER("InitRDSecurityFinishTimestamp"),
    PIDWARD_NEVER("InitRDGeneratorsStartTimestamp"),
    PIDWARD_NEVER("InitRDGeneratorsFinishTimestamp"),
    PIDWARD_NEVER("InitRDUnitsLoadStartTimestamp"),
    PIDWARD_NEVER("InitRDUnitsLoadFinishTimestamp"),
    PIDWARD_NEVER("WatchdogLastPingTimestamp"),
    {"RuntimeWatchdogUSec", "t", kNever, never},
    {"RuntimeWatchdogPreUSec", "t", kNever, never},
    {"RuntimeWatchdogPreGovernor", "s", kNever,
     [](Writer& out, const Subject&, RowPtr) { out.s(""); }},
    {"RebootWatchdogUSec", "t", kNever, never},
    {"KExecWatchdogUSec", "t", kNever, never},
    {"CtrlAltDelBurstAction", "s", kConst,
     [](Writer& out, const Subject&, RowPtr) { out.s("none"); }},
};
#undef PIDWARD_NEVER

/// What a service inherits that does not say otherwise: our own.
template <__rlimit_resource Resource, bool Soft>
void inherited(Writer& out, const Subject& /*subject*/, RowPtr /*row*/) {
  rlimit limit{};
  if (::getrlimit(Resource, &limit) != 0) limit = {RLIM_INFINITY, RLIM_INFINITY};
  out.t(Soft ? limit.rlim_cur : limit.rlim_max);
}

#define PIDWARD_LIMIT(name)                                                  \
  {"DefaultLimit" #name, "t", kConst, inherited<RLIMIT_##name, false>}, {    \
    "DefaultLimit" #name "Soft", "t", kConst, inherited<RLIMIT_##name, true> \
  }

constexpr Property kInherited[] = {
    PIDWARD_LIMIT(CPU),
    PIDWARD_LIMIT(FSIZE),
    PIDWARD_LIMIT(DATA),
    PIDWARD_LIMIT(STACK),
    PIDWARD_LIMIT(CORE),
    PIDWARD_LIMIT(RSS),
    PIDWARD_LIMIT(NOFILE),
    PIDWARD_LIMIT(AS),
    PIDWARD_LIMIT(NPROC),
    PIDWARD_LIMIT(MEMLOCK),
    PIDWARD_LIMIT(LOCKS),
    PIDWARD_LIMIT(SIGPENDING),
    PIDWARD_LIMIT(MSGQUEUE),
    PIDWARD_LIMIT(NICE),
    PIDWARD_LIMIT(RTPRIO),
    PIDWARD_LIMIT(RTTIME),
    {"DefaultTasksMax", "t", kNever, no_limit},
    {"TimerSlackNSec", "t", kConst,
     [](Writer& out, const Subject&, RowPtr) {
       out.t(static_cast<std::uint64_t>(std::max(::prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0), 0)));
     }},
    {"DefaultTimerAccuracyUSec", "t", kConst,
     [](Writer& out, const Subject&, RowPtr) {
       constexpr std::uint64_t kMinute = 60'000'000;
       out.t(kMinute);
     }},
    {"DefaultDeviceTimeoutUSec", "t", kConst,
     [](Writer& out, const Subject& s, RowPtr) {
       out.span(s.manager.config().default_timeout_start);
     }},
    {"DefaultOOMPolicy", "s", kConst, [](Writer& out, const Subject&, RowPtr) { out.s("stop"); }},
    {"DefaultOOMScoreAdjust", "i", kConst, [](Writer& out, const Subject&, RowPtr) { out.i(0); }},
};
#undef PIDWARD_LIMIT

}  // namespace

void add_machine(Interface& manager) {
  manager.add(kMachineMethods);
  manager.add(kBoot);
  manager.add(kInherited);
}

}  // namespace pidward::bus
