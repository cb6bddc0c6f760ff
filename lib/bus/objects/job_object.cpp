// Job: one change that waits or is being made.
#include "bus/objects/common.hpp"
#include "bus/objects/tables.hpp"

namespace pidward::bus {
namespace {

using Row = const unit::Row*;

void cancel(const CallPtr& call) {
  reply_status(call, call->services().manager.cancel(call->job));
}
void get_after(const CallPtr& call) {
  call->reply([&](Writer& out) {
    write_job_rows(out, call->services(), jobs_after(call->services(), call->job));
  });
}
void get_before(const CallPtr& call) {
  call->reply([&](Writer& out) {
    write_job_rows(out, call->services(), jobs_before(call->services(), call->job));
  });
}

constexpr Method kMethods[] = {
    {"Cancel", "", "", "", "", Access::change, cancel},
    {"GetAfter", "", "", "a(usssoo)", "jobs", Access::read, get_after},
    {"GetBefore", "", "", "a(usssoo)", "jobs", Access::read, get_before},
};

constexpr Property kProperties[] = {
    {"Id", "u", Announce::constant,
     [](Writer& out, const Subject& s, Row) { out.u(s.job->id.number()); }},
    {"Unit", "(so)", Announce::constant,
     [](Writer& out, const Subject& s, Row) {
       const std::string name = name_of(s.services, s.job->unit);
       out.open_struct("so").s(name).o(unit_path(name)).close();
     }},
    {"JobType", "s", Announce::constant,
     [](Writer& out, const Subject& s, Row) { out.s(engine::to_string(s.job->type)); }},
    {"State", "s", Announce::emits,
     [](Writer& out, const Subject& s, Row) { out.s(engine::to_string(s.job->state)); }},
    {"ActivationDetails", "a(ss)", Announce::constant,
     [](Writer& out, const Subject&, Row) { out.empty("a(ss)"); }},
};

}  // namespace

void add_job_object(Interface& job) {
  job.add(kMethods);
  job.add(kProperties);
}

}  // namespace pidward::bus
