// Manager: jobs asked for, listed and taken back; signals and failures of single units.
#include <fmt/core.h>

#include "bus/objects/common.hpp"
#include "bus/objects/tables.hpp"

namespace pidward::bus {
namespace {

using engine::JobType;

template <JobType Type, bool Reload = false>
void request(const CallPtr& call) {
  JobWish wish{.unit = call->in().s(), .type = Type, .mode = {}, .reload_if_possible = Reload};
  wish.mode = call->in().s();
  request_job(call, wish);
}

/// systemd: a stop of a unit that does not exist is an error, not a job that does nothing.
void stop_unit(const CallPtr& call) {
  const std::string name = call->in().s();
  const std::string mode = call->in().s();
  load_named(call, name, [call, name, mode](UnitId unit) {
    const engine::UnitStatus status = call->services().manager.engine().status(unit);
    const bool exists = status.spec->load_state == unit::LoadState::loaded ||
                        status.spec->load_state == unit::LoadState::masked;
    if (!exists && status.active == engine::ActiveState::inactive && !status.job) {
      return call->fail(Error(Errc::no_such_unit, fmt::format("Unit {} not loaded.", name)));
    }
    request_job(call, {.unit = name, .type = JobType::stop, .mode = mode});
  });
}

void start_with_flags(const CallPtr& call) {
  JobWish wish{.unit = call->in().s()};
  wish.mode = call->in().s();
  if (call->in().t() != 0) {
    return call->fail(Error(Errc::invalid_argument, "Invalid 'flags' parameter: none is known."));
  }
  request_job(call, wish);
}

void enqueue(const CallPtr& call) {
  const std::string unit = call->in().s();
  const std::string type = call->in().s();
  enqueue_job(call, unit, type, call->in().s());
}

void kill(const CallPtr& call) {
  const std::string name = call->in().s();
  const std::string whom = call->in().s();
  const std::int32_t signal = call->in().i();
  if (const auto unit = needed_unit(call, name)) kill_unit(call, *unit, whom, signal);
}

void reset_failed_unit(const CallPtr& call) {
  const std::string name = call->in().s();
  const auto unit = needed_unit(call, name);
  if (!unit) return;
  reply_status(call, call->services().manager.reset_failed(*unit));
}

void reset_failed(const CallPtr& call) {
  call->services().manager.reset_failed_all();
  call->reply();
}

std::optional<JobId> existing_job(const CallPtr& call) {
  const JobId job(call->in().u());
  if (job && call->services().manager.engine().job(job)) return job;
  call->fail(Error(Errc::no_such_job, fmt::format("Job {} does not exist.", job.number())));
  return std::nullopt;
}

void get_job(const CallPtr& call) {
  if (const auto job = existing_job(call)) {
    call->reply([&](Writer& out) { out.o(job_path(*job)); });
  }
}

void get_job_after(const CallPtr& call) {
  if (const auto job = existing_job(call)) {
    call->reply([&](Writer& out) {
      write_job_rows(out, call->services(), jobs_after(call->services(), *job));
    });
  }
}

void get_job_before(const CallPtr& call) {
  if (const auto job = existing_job(call)) {
    call->reply([&](Writer& out) {
      write_job_rows(out, call->services(), jobs_before(call->services(), *job));
    });
  }
}

void cancel_job(const CallPtr& call) {
  const auto job = existing_job(call);
  if (!job) return;
  reply_status(call, call->services().manager.cancel(*job));
}

void clear_jobs(const CallPtr& call) {
  call->services().manager.cancel_all_jobs();
  call->reply();
}

void list_jobs(const CallPtr& call) {
  call->reply([&](Writer& out) {
    write_job_rows(out, call->services(), call->services().manager.engine().jobs());
  });
}

constexpr Method kJobMethods[] = {
    {"StartUnit", "ss", "name,mode", "o", "job", kChange, request<JobType::start>},
    {"StartUnitWithFlags", "sst", "name,mode,flags", "o", "job", kChange, start_with_flags},
    {"StopUnit", "ss", "name,mode", "o", "job", kChange, stop_unit},
    {"ReloadUnit", "ss", "name,mode", "o", "job", kChange, request<JobType::reload>},
    {"RestartUnit", "ss", "name,mode", "o", "job", kChange, request<JobType::restart>},
    {"TryRestartUnit", "ss", "name,mode", "o", "job", kChange, request<JobType::try_restart>},
    {"ReloadOrRestartUnit", "ss", "name,mode", "o", "job", kChange,
     request<JobType::restart, true>},
    {"ReloadOrTryRestartUnit", "ss", "name,mode", "o", "job", kChange,
     request<JobType::try_restart, true>},
    {"EnqueueUnitJob", "sss", "name,job_type,job_mode", "uososa(uosos)",
     "job_id,job_path,unit_id,unit_path,job_type,affected_jobs", kChange, enqueue},
    {"KillUnit", "ssi", "name,whom,signal", "", "", kChange, kill},
    {"ResetFailedUnit", "s", "name", "", "", kChange, reset_failed_unit},
    {"ResetFailed", "", "", "", "", kChange, reset_failed},
    {"GetJob", "u", "id", "o", "job", kRead, get_job},
    {"GetJobAfter", "u", "id", "a(usssoo)", "jobs", kRead, get_job_after},
    {"GetJobBefore", "u", "id", "a(usssoo)", "jobs", kRead, get_job_before},
    {"CancelJob", "u", "id", "", "", kChange, cancel_job},
    {"ClearJobs", "", "", "", "", kChange, clear_jobs},
    {"ListJobs", "", "", "a(usssoo)", "jobs", kRead, list_jobs},
};

constexpr Signal kJobSignals[] = {
    {"JobNew", "uos", "id,job,unit"},
    {"JobRemoved", "uoss", "id,job,unit,result"},
};

}  // namespace

void add_job_requests(Interface& manager) {
  manager.add(kJobMethods);
  manager.add(kJobSignals);
}

}  // namespace pidward::bus
