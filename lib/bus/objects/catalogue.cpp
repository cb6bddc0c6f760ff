// Which object has which interface.
#include "bus/objects/tables.hpp"

namespace pidward::bus {
namespace {

Interface type_interface(unit::UnitType type, std::string_view title) {
  using unit::Section;
  using unit::UnitType;
  Interface interface("org.pidward1." + std::string(title));
  switch (type) {
    case UnitType::service:
      add_service_state(interface);
      add_settings(interface, Section::Service);
      break;
    case UnitType::socket:
      add_socket_state(interface);
      add_settings(interface, Section::Socket);
      break;
    case UnitType::timer:
      add_timer_state(interface);
      add_settings(interface, Section::Timer);
      return interface;
    case UnitType::path:
      add_path_state(interface);
      add_settings(interface, Section::Path);
      return interface;
    case UnitType::slice:
      add_settings(interface, Section::Slice);
      break;
    case UnitType::scope:
      add_scope_state(interface);
      add_settings(interface, Section::Scope);
      break;
    case UnitType::target:
    case UnitType::mount:
    case UnitType::automount:
    case UnitType::swap:
    case UnitType::device:
      return interface;
  }
  add_process_methods(interface);
  add_control_group_state(interface);
  return interface;
}

}  // namespace

Catalogue::Catalogue() {
  Interface manager(kManagerInterface);
  add_unit_queries(manager);
  add_job_requests(manager);
  add_unit_files(manager);
  add_transient_units(manager);
  add_system(manager);
  add_process_requests(manager);
  add_leases(manager);
  add_machine(manager);
  add_manager_properties(manager);
  manager_ = {keep(std::move(manager))};

  Interface unit(kUnitInterface);
  add_unit_methods(unit);
  add_unit_properties(unit);
  add_dependency_properties(unit);
  add_settings(unit, unit::Section::Unit);
  const Interface* common = keep(std::move(unit));

  Interface job(kJobInterface);
  add_job_object(job);
  job_ = {keep(std::move(job))};

  Interface process(kProcessInterface);
  add_process_object(process);
  process_ = {keep(std::move(process))};

  for (std::size_t i = 0; i < unit::kUnitTypes; ++i) {
    const auto type = static_cast<unit::UnitType>(i);
    std::string title(unit::to_string(type));
    title[0] = static_cast<char>(title[0] - 'a' + 'A');
    units_[i] = {keep(type_interface(type, title)), common};
  }
}

const Interface* Catalogue::keep(Interface interface) {
  interface.complete();
  all_.push_back(std::make_unique<Interface>(std::move(interface)));
  return all_.back().get();
}

}  // namespace pidward::bus
