#include "bus/objects/common.hpp"

#include <algorithm>
#include <csignal>

#include <fmt/core.h>
#include <sys/wait.h>

#include "bus/objects/job_words.hpp"

namespace pidward::bus {

namespace {

/// False, and the call failed, for what is no unit's name.
bool check_name(const CallPtr& call, const std::string& name) {
  if (unit::UnitName::parse(name)) return true;
  call->fail(Error(Errc::invalid_argument, fmt::format("Unit name {} is not valid.", name)));
  return false;
}

}  // namespace

void load_named(const CallPtr& call, const std::string& name, std::function<void(UnitId)> next) {
  if (!check_name(call, name)) return;
  call->services().manager.load(name, [call, next = std::move(next)](const Result<UnitId>& unit) {
    unit ? next(*unit) : call->fail(unit.error());
  });
}

void reply_status(const CallPtr& call, const Status& status) {
  status ? call->reply() : call->fail(status.error());
}

std::optional<UnitId> loaded_unit(const CallPtr& call, const std::string& name) {
  if (!check_name(call, name)) return std::nullopt;
  const auto unit = call->services().manager.engine().find(*unit::UnitName::parse(name));
  if (!unit) {
    call->fail(Error(Errc::no_such_unit, fmt::format("Unit {} not loaded.", name)));
  }
  return unit;
}

std::optional<UnitId> needed_unit(const CallPtr& call, const std::string& name) {
  const auto unit = loaded_unit(call, name);
  if (!unit || call->services().manager.engine().is_needed(*unit)) return unit;
  call->fail(Error(Errc::no_such_unit, fmt::format("Unit {} not loaded.", name)));
  return std::nullopt;
}

std::string name_of(const Services& services, UnitId unit) {
  const auto spec = services.manager.engine().spec(unit);
  return spec ? spec->name.str() : std::string();
}

std::string path_of(const Services& services, UnitId unit) {
  return unit_path(name_of(services, unit));
}

std::int32_t cld_code(const ExitStatus& status) {
  switch (status.kind) {
    case ExitStatus::Kind::unknown:
      return 0;
    case ExitStatus::Kind::exited:
      return CLD_EXITED;
    case ExitStatus::Kind::killed:
      return CLD_KILLED;
    case ExitStatus::Kind::dumped:
      return CLD_DUMPED;
  }
  return 0;
}

void write_unit_row(Writer& out, const Services& services, UnitId unit) {
  const engine::Engine& engine = services.manager.engine();
  const engine::UnitStatus status = engine.status(unit);
  const std::string& name = status.spec->name.str();
  const std::string& description = status.spec->settings.string(unit::Directive::Description);
  const auto job = status.job ? engine.job(status.job) : std::nullopt;
  out.open_struct("ssssssouso")
      .s(name)
      .s(description.empty() ? name : description)
      .s(unit::to_string(status.spec->load_state))
      .s(engine::to_string(status.active))
      .s(status.sub)
      .s("")
      .o(unit_path(name))
      .u(job ? job->id.number() : 0)
      .s(job ? engine::to_string(job->type) : std::string_view())
      .o(job_path(job ? job->id : JobId()))
      .close();
}

void write_job_row(Writer& out, const Services& services, JobId job) {
  const auto status = services.manager.engine().job(job);
  if (!status) return;
  const std::string name = name_of(services, status->unit);
  out.open_struct("usssoo")
      .u(job.number())
      .s(name)
      .s(engine::to_string(status->type))
      .s(engine::to_string(status->state))
      .o(job_path(job))
      .o(unit_path(name))
      .close();
}

void write_job_rows(Writer& out, const Services& services, const std::vector<JobId>& jobs) {
  out.open_array("(usssoo)");
  for (const JobId job : jobs) write_job_row(out, services, job);
  out.close();
}

std::vector<JobId> jobs_after(const Services& services, JobId job) {
  std::vector<JobId> out;
  const engine::Engine& engine = services.manager.engine();
  for (const JobId other : engine.jobs()) {
    const auto status = engine.job(other);
    if (status && std::count(status->waits_for.begin(), status->waits_for.end(), job) > 0) {
      out.push_back(other);
    }
  }
  return out;
}

std::vector<JobId> jobs_before(const Services& services, JobId job) {
  const auto status = services.manager.engine().job(job);
  return status ? status->waits_for : std::vector<JobId>();
}

void write_processes(Writer& out, const Services& services, UnitId unit) {
  std::vector<UnitId> units{unit};
  // A slice shows what is below it; slices are few and shallow.
  for (std::size_t i = 0; i < units.size(); ++i) {
    const auto below = services.manager.engine().related(units[i], unit::Dependency::SliceOf);
    for (const UnitId inner : below) {
      if (std::find(units.begin(), units.end(), inner) == units.end()) units.push_back(inner);
    }
  }
  out.open_array("(sus)");
  for (const UnitId each : units) {
    for (const runtime::ProcessInfo& process : services.manager.list_processes(each)) {
      out.open_struct("sus").s(process.control_group).u(process.pid).s(process.command).close();
    }
  }
  out.close();
}

void write_diagnostics(Writer& out, const std::vector<unit::Diagnostic>& diagnostics) {
  out.open_array("(ssuus)");
  for (const unit::Diagnostic& each : diagnostics) {
    out.open_struct("ssuus")
        .s(unit::to_string(each.severity))
        .s(each.where.file)
        .u(each.where.line)
        .u(each.where.column)
        .s(each.advice.empty() ? each.message : each.message + "; " + each.advice)
        .close();
  }
  out.close();
}

namespace {

void submit(const CallPtr& call, const JobWish& wish,
            std::function<void(const engine::RequestOutcome&)> done) {
  Services& services = call->services();
  const auto mode = parse_job_mode(wish.mode);
  if (!mode) {
    return call->fail(Error(Errc::invalid_argument, fmt::format("Job mode {} invalid", wish.mode)));
  }
  if (!check_name(call, wish.unit)) return;
  begin_request(call);
  services.manager.submit({.unit = wish.unit,
                           .type = wish.type,
                           .mode = *mode,
                           .reload_if_possible = wish.reload_if_possible},
                          [call, done](const Result<engine::RequestOutcome>& outcome) {
                            end_request(call, outcome);
                            if (!outcome) return call->fail(outcome.error());
                            done(*outcome);
                          });
}

}  // namespace

void begin_request(const CallPtr& call) {
  if (call->connection().is_broker()) ++call->services().broker_requests;
}

void end_request(const CallPtr& call, const Result<engine::RequestOutcome>& outcome) {
  if (!call->connection().is_broker()) return;
  Services& services = call->services();
  --services.broker_requests;
  // A job that was done at once is gone already, and its JobRemoved was sent.
  if (outcome && services.manager.engine().job(outcome->job)) {
    services.broker_jobs.insert(outcome->job);
  }
}

void request_job(const CallPtr& call, const JobWish& wish) {
  submit(call, wish, [call](const engine::RequestOutcome& outcome) {
    call->reply([&](Writer& out) { out.o(job_path(outcome.job)); });
  });
}

void enqueue_job(const CallPtr& call, const std::string& unit, const std::string& type,
                 const std::string& mode) {
  const auto parsed = parse_job_type(type);
  if (!parsed) {
    return call->fail(Error(Errc::invalid_argument, fmt::format("Job type {} invalid", type)));
  }
  const JobWish wish{
      .unit = unit, .type = parsed->type, .mode = mode, .reload_if_possible = parsed->reload};
  submit(call, wish, [call, unit, type](const engine::RequestOutcome& outcome) {
    const Services& services = call->services();
    const engine::Engine& engine = services.manager.engine();
    call->reply([&](Writer& out) {
      const auto job = engine.job(outcome.job);
      const std::string name = job ? name_of(services, job->unit) : unit;
      out.u(outcome.job.number()).o(job_path(outcome.job)).s(name).o(unit_path(name));
      out.s(job ? engine::to_string(job->type) : std::string_view(type));
      out.open_array("(uosos)");
      for (const JobId other : outcome.affected) {
        const auto status = other == outcome.job ? std::nullopt : engine.job(other);
        if (!status) continue;
        const std::string affected = name_of(services, status->unit);
        out.open_struct("uosos").u(other.number()).o(job_path(other)).s(affected);
        out.o(unit_path(affected)).s(engine::to_string(status->type)).close();
      }
      out.close();
    });
  });
}

void kill_unit(const CallPtr& call, UnitId unit, const std::string& whom, int signal) {
  std::string_view word = whom.empty() ? "all" : std::string_view(whom);
  constexpr std::string_view kFail = "-fail";
  const bool must_hit =
      word.size() > kFail.size() && word.substr(word.size() - kFail.size()) == kFail;
  if (must_hit) word.remove_suffix(kFail.size());
  auto target = engine::KillWhom::all;
  if (word == "main") {
    target = engine::KillWhom::main;
  } else if (word == "control") {
    target = engine::KillWhom::control;
  } else if (word != "all") {
    return call->fail(Error(Errc::invalid_argument, fmt::format("Invalid who argument {}", whom)));
  }
  if (signal < 1 || signal > SIGRTMAX) {
    return call->fail(
        Error(Errc::invalid_argument, fmt::format("Signal number {} is out of range.", signal)));
  }
  const Status status = call->services().manager.kill(unit, target, signal);
  // As systemd has it: "all" of nothing is fine unless the caller asked to be told.
  const bool nothing_hit = !status && (status.error().code() == Errc::no_such_process ||
                                       status.error().code() == Errc::unit_inactive);
  if (!status && !(nothing_hit && target == engine::KillWhom::all && !must_hit)) {
    return call->fail(status.error());
  }
  call->reply();
}

void clean(const CallPtr& call, UnitId unit, const std::vector<std::string>& mask) {
  call->services().manager.clean(unit, mask, [call](const Result<UnitId>& cleaned) {
    if (cleaned) return call->reply();
    const Error& why = cleaned.error();
    if (why.code() == Errc::transaction_conflict) {
      return call->fail("org.pidward1.UnitBusy", why.to_string());
    }
    if (why.code() == Errc::not_found) {
      return call->fail("org.pidward1.NothingToClean", why.to_string());
    }
    call->fail(why);
  });
}

void freeze(const CallPtr& call, UnitId unit, bool freeze) {
  call->services().manager.freeze(unit, freeze, [call](const Result<UnitId>& done) {
    if (done) return call->reply();
    if (done.error().code() == Errc::transaction_conflict) {
      return call->fail("org.pidward1.UnitBusy", done.error().to_string());
    }
    call->fail(done.error());
  });
}

void add_reference(const CallPtr& call, UnitId unit) {
  call->services().clients.add_reference(call->client(), unit);
  call->reply();
}

void drop_reference(const CallPtr& call, UnitId unit) {
  if (!call->services().clients.drop_reference(call->client(), unit)) {
    return call->fail("org.pidward1.NotReferenced", "Unit has not been referenced yet.");
  }
  call->reply();
}

}  // namespace pidward::bus
