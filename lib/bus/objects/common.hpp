// What the methods of several objects share.
#pragma once

#include <string>

#include "bus/call.hpp"
#include "bus/services.hpp"

namespace pidward::bus {

/// Loads a unit by name and goes on with it; the call failed if the name is not valid.
void load_named(const CallPtr& call, const std::string& name, std::function<void(UnitId)> next);
/// The empty answer, or the error.
void reply_status(const CallPtr& call, const Status& status);
/// The loaded unit of that name. Nothing, and the call failed with NoSuchUnit or InvalidArgs, if
/// there is none.
std::optional<UnitId> loaded_unit(const CallPtr& call, const std::string& name);
/// The same, and a failed call as well for a unit that is in memory only until the next collection:
/// of a file that does not exist, say, because somebody asked about it.
std::optional<UnitId> needed_unit(const CallPtr& call, const std::string& name);
std::string name_of(const Services& services, UnitId unit);
std::string path_of(const Services& services, UnitId unit);

/// CLD_EXITED and its like; 0 while nothing is known.
std::int32_t cld_code(const ExitStatus& status);

/// The caller as the one who takes a lease.
runtime::LeaseTaker taker_of(const CallPtr& call);
/// "oh": the job and the lease's descriptor.
void reply_lease(const CallPtr& call, const Result<runtime::UnitLease>& lease);
/// "none", "signal 15" or "kill-tree".
std::string policy_text(const process::LastClose& policy);

/// What a caller wants done with a unit, in the words of the bus.
struct JobWish {
  std::string unit;
  engine::JobType type = engine::JobType::start;
  std::string mode;
  bool reload_if_possible = false;
};
/// A broker is told of the end of a job that its client asked for; both around the request.
void begin_request(const CallPtr& call);
void end_request(const CallPtr& call, const Result<engine::RequestOutcome>& outcome);
/// Queues the job and answers with its path.
void request_job(const CallPtr& call, const JobWish& wish);
/// Queues the job `type` names (as EnqueueUnitJob has it) and answers "uososa(uosos)".
void enqueue_job(const CallPtr& call, const std::string& unit, const std::string& type,
                 const std::string& mode);
void kill_unit(const CallPtr& call, UnitId unit, const std::string& whom, int signal);

/// "(ssssssouso)", a row of ListUnits.
void write_unit_row(Writer& out, const Services& services, UnitId unit);
/// "(usssoo)", a row of ListJobs.
void write_job_row(Writer& out, const Services& services, JobId job);
void write_job_rows(Writer& out, const Services& services, const std::vector<JobId>& jobs);
/// Jobs that wait for `job`, and jobs `job` waits for.
std::vector<JobId> jobs_after(const Services& services, JobId job);
std::vector<JobId> jobs_before(const Services& services, JobId job);
/// "a(sus)", the processes of a unit and of the units below it.
void write_processes(Writer& out, const Services& services, UnitId unit);
/// "a(ssuus)": severity, file, line, column, sentence.
void write_diagnostics(Writer& out, const std::vector<unit::Diagnostic>& diagnostics);

void clean(const CallPtr& call, UnitId unit, const std::vector<std::string>& mask);
void freeze(const CallPtr& call, UnitId unit, bool freeze);
/// Reads "a(sv)" of SetUnitProperties and carries it out.
void set_unit_properties(const CallPtr& call, const std::string& name, bool runtime);
/// Reads "sau" of AttachProcesses and carries it out.
void attach_processes_to(const CallPtr& call, UnitId unit);
void abandon(const CallPtr& call, UnitId unit);

void add_reference(const CallPtr& call, UnitId unit);
void drop_reference(const CallPtr& call, UnitId unit);

}  // namespace pidward::bus
