// The rows of every interface, one file of the folder for each subject.
#pragma once

#include "bus/interface.hpp"

namespace pidward::bus {

void add_unit_queries(Interface& manager);      ///< GetUnit, ListUnits …
void add_job_requests(Interface& manager);      ///< StartUnit, CancelJob, KillUnit …
void add_unit_files(Interface& manager);        ///< EnableUnitFiles, ListUnitFiles …
void add_transient_units(Interface& manager);   ///< StartTransientUnit, SetUnitProperties
void add_system(Interface& manager);            ///< Reload, SetEnvironment, Exit …
void add_process_requests(Interface& manager);  ///< ListProcesses, OpenProcess …
void add_leases(Interface& manager);            ///< LeaseUnit, LeaseProcess …
void add_machine(Interface& manager);           ///< Reboot, GetDynamicUsers, DefaultLimit… …
void add_manager_properties(Interface& manager);

void add_unit_methods(Interface& unit);
void add_unit_properties(Interface& unit);
void add_dependency_properties(Interface& unit);
void add_job_object(Interface& job);
void add_process_object(Interface& process);

void add_service_state(Interface& service);
void add_socket_state(Interface& socket);
void add_timer_state(Interface& timer);
void add_path_state(Interface& path);
void add_process_methods(Interface& unit_type);      ///< GetProcesses, AttachProcesses
void add_scope_state(Interface& scope);              ///< Abandon, Controller …
void add_control_group_state(Interface& unit_type);  ///< ControlGroup, MemoryCurrent …

/// Every directive of `section` that has a D-Bus name and is not there yet, from the directive
/// table.
void add_settings(Interface& interface, unit::Section section);
/// The property of one directive, as D-Bus type `row.bus_type`. Values that do not fit give that
/// type's empty value.
void write_setting(Writer& out, const Subject& subject, const unit::Row* row);
/// ExecStart= and its like with what became of each command; `row` names the list.
void write_commands(Writer& out, const Subject& subject, const unit::Row* row);
void write_commands_ex(Writer& out, const Subject& subject, const unit::Row* row);

}  // namespace pidward::bus
