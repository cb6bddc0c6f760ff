#include "exec/limits.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

#include <fmt/core.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "sys/capability.hpp"

namespace pidward::exec {
namespace {

using unit::Directive;

constexpr int kIoPriorityWhoProcess = 1;
constexpr int kIoPriorityClassShift = 13;
constexpr int kCapSysResource = 24;

struct LimitRow {
  Directive directive;
  int resource;
};
constexpr std::array<LimitRow, 16> kLimits{{{Directive::LimitCPU, RLIMIT_CPU},
                                            {Directive::LimitFSIZE, RLIMIT_FSIZE},
                                            {Directive::LimitDATA, RLIMIT_DATA},
                                            {Directive::LimitSTACK, RLIMIT_STACK},
                                            {Directive::LimitCORE, RLIMIT_CORE},
                                            {Directive::LimitRSS, RLIMIT_RSS},
                                            {Directive::LimitNOFILE, RLIMIT_NOFILE},
                                            {Directive::LimitAS, RLIMIT_AS},
                                            {Directive::LimitNPROC, RLIMIT_NPROC},
                                            {Directive::LimitMEMLOCK, RLIMIT_MEMLOCK},
                                            {Directive::LimitLOCKS, RLIMIT_LOCKS},
                                            {Directive::LimitSIGPENDING, RLIMIT_SIGPENDING},
                                            {Directive::LimitMSGQUEUE, RLIMIT_MSGQUEUE},
                                            {Directive::LimitNICE, RLIMIT_NICE},
                                            {Directive::LimitRTPRIO, RLIMIT_RTPRIO},
                                            {Directive::LimitRTTIME, RLIMIT_RTTIME}}};

bool may_raise_limits() {
  const auto own = sys::own_capabilities();
  return own && (own->effective >> kCapSysResource & 1U) != 0;
}

void add_affinity_step(PlanBuilder& builder, const unit::Settings& settings) {
  const std::vector<std::string>& cpus = settings.words(Directive::CPUAffinity);
  if (cpus.empty()) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const std::string& text : cpus) {
    std::size_t cpu = 0;
    std::from_chars(text.data(), text.data() + text.size(), cpu);
    if (cpu < CPU_SETSIZE) CPU_SET(cpu, &set);
  }
  const cpu_set_t* kept = builder.keep_blob(&set, 1);
  builder.call(ExitCode::cpu_affinity, "set the CPU affinity", SYS_sched_setaffinity, 0, sizeof set,
               kept);
}

}  // namespace

std::optional<int> resource_of(unit::Directive limit) {
  for (const LimitRow& row : kLimits) {
    if (row.directive == limit) return row.resource;
  }
  return std::nullopt;
}

void add_scheduling_steps(PlanBuilder& builder, const unit::Settings& settings) {
  if (settings.is_set(Directive::OOMScoreAdjust)) {
    const std::string text = fmt::format("{}", settings.integer(Directive::OOMScoreAdjust));
    Step step;
    step.kind = StepKind::write_file;
    step.exit_code = ExitCode::oom_adjust;
    step.label = "adjust the OOM score";
    step.tolerated = EACCES;  // in a container without CAP_SYS_RESOURCE; systemd passes over it too
    step.args = {reinterpret_cast<long>(builder.keep("/proc/self/oom_score_adj")),
                 reinterpret_cast<long>(builder.keep(text)), static_cast<long>(text.size())};
    builder.add(step);
    builder.state().own_memory = true;
  }
  if (settings.is_set(Directive::Nice)) {
    builder.call(ExitCode::nice, "set the nice level", SYS_setpriority, PRIO_PROCESS, 0,
                 settings.integer(Directive::Nice));
  }
  const bool reset_on_fork = settings.boolean(Directive::CPUSchedulingResetOnFork);
  if (settings.is_set(Directive::CPUSchedulingPolicy) ||
      settings.is_set(Directive::CPUSchedulingPriority) || reset_on_fork) {
    const auto policy = static_cast<int>(settings.integer(Directive::CPUSchedulingPolicy));
    sched_param parameter{};
    // Into the range of the policy, as systemd does: 1 and above for fifo and rr, 0 for others.
    parameter.sched_priority =
        std::clamp(static_cast<int>(settings.integer(Directive::CPUSchedulingPriority)),
                   ::sched_get_priority_min(policy), ::sched_get_priority_max(policy));
    const sched_param* kept = builder.keep_blob(&parameter, 1);
    builder.call(ExitCode::set_scheduler, "set the scheduling policy", SYS_sched_setscheduler, 0,
                 policy | (reset_on_fork ? SCHED_RESET_ON_FORK : 0), kept);
  }
  add_affinity_step(builder, settings);
  if (settings.is_set(Directive::IOSchedulingClass) ||
      settings.is_set(Directive::IOSchedulingPriority)) {
    // "none" takes no priority; systemd reads it as best-effort.
    constexpr std::int64_t kBestEffort = 2;
    const auto given = settings.integer(Directive::IOSchedulingClass);
    const auto io_class = given == 0 ? kBestEffort : given;
    const auto priority = settings.integer(Directive::IOSchedulingPriority);
    builder.call(ExitCode::ioprio, "set the I/O priority", SYS_ioprio_set, kIoPriorityWhoProcess, 0,
                 (io_class << kIoPriorityClassShift) | priority);
  }
}

void add_limit_steps(PlanBuilder& builder, const unit::Settings& settings) {
  std::optional<bool> may_raise;
  for (const LimitRow& row : kLimits) {
    const unit::Value* value = settings.find(row.directive);
    const auto* limit = value == nullptr ? nullptr : std::get_if<unit::ResourceLimit>(value);
    if (limit == nullptr) continue;
    rlimit64 wanted{limit->soft, limit->hard};
    if (!may_raise) may_raise = may_raise_limits();
    if (!*may_raise) {  // as systemd: as close as it gets
      rlimit64 current{};
      if (::getrlimit64(static_cast<__rlimit_resource_t>(row.resource), &current) == 0) {
        wanted.rlim_max = std::min(wanted.rlim_max, current.rlim_max);
        wanted.rlim_cur = std::min(wanted.rlim_cur, wanted.rlim_max);
      }
    }
    const rlimit64* kept = builder.keep_blob(&wanted, 1);
    builder.call(ExitCode::limits,
                 builder.keep(fmt::format("set {}=", unit::row(row.directive).name)), SYS_prlimit64,
                 0, row.resource, kept, nullptr);
  }
}

}  // namespace pidward::exec
