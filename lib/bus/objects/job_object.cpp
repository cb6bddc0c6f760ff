// Job: one change that waits or is being made.
#include "bus/objects/common.hpp"
#include "bus/objects/tables.hpp"

namespace pidward::bus {
namespace {

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

constexpr Method kJobObjectMethods[] = {
    {"Cancel", "", "", "", "", Access::change, cancel},
    {"GetAfter", "", "", "a(usssoo)", "jobs", Access::read, get_after},
    {"GetBefore", "", "", "a(usssoo)", "jobs", Access::read, get_before},
};

constexpr Property kJobObjectProperties[] = {
    {"Id", "u", Announce::constant,
     [](Writer& out, const Subject& s, RowPtr) { out.u(s.job->id.number()); }},
    {"Unit", "(so)", Announce::constant,
     [](Writer& out, const Subject& s, RowPtr) {
       const std::string name = name_of(s.services, s.job->unit);
       out.open_struct("so").s(name).o(unit_path(name)).close();
     }},
    {"JobType", "s", Announce::constant,
     [](Writer& out, const Subject& s, RowPtr) { out.s(engine::to_string(s.job->type)); }},
    {"State", "s", Announce::emits,
     [](Writer& out, const Subject& s, RowPtr) { out.s(engine::to_string(s.job->state)); }},
    {"ActivationDetails", "a(ss)", Announce::constant,
     [](Writer& out, const Subject&, RowPtr) { out.empty("a(ss)"); }},
};

}  // namespace

void add_job_object(Interface& job) {
  job.add(kJobObjectMethods);
  job.add(kJobObjectProperties);
}

}  // namespace pidward::bus
