#include "bus/error_names.hpp"

#include <array>
#include <utility>

namespace pidward::bus {
namespace {

using Pair = std::pair<Errc, std::string_view>;
constexpr std::array<Pair, 23> kNames{{
    {Errc::failed, "org.freedesktop.DBus.Error.Failed"},
    {Errc::invalid_argument, "org.freedesktop.DBus.Error.InvalidArgs"},
    {Errc::not_found, "org.freedesktop.DBus.Error.FileNotFound"},
    {Errc::access_denied, "org.freedesktop.DBus.Error.AccessDenied"},
    {Errc::not_supported, "org.freedesktop.DBus.Error.NotSupported"},
    {Errc::limit_exceeded, "org.freedesktop.DBus.Error.LimitsExceeded"},
    {Errc::timed_out, "org.freedesktop.DBus.Error.Timeout"},
    {Errc::syntax, "org.pidward1.BadSyntax"},
    {Errc::no_such_unit, "org.pidward1.NoSuchUnit"},
    {Errc::unit_exists, "org.pidward1.UnitExists"},
    {Errc::unit_masked, "org.pidward1.UnitMasked"},
    {Errc::unit_load_failed, "org.pidward1.BadUnitSetting"},
    {Errc::unit_inactive, "org.pidward1.UnitInactive"},
    {Errc::only_by_dependency, "org.pidward1.OnlyByDependency"},
    {Errc::no_isolation, "org.pidward1.NoIsolation"},
    {Errc::no_such_job, "org.pidward1.NoSuchJob"},
    {Errc::job_type_not_applicable, "org.pidward1.JobTypeNotApplicable"},
    {Errc::transaction_destructive, "org.pidward1.TransactionIsDestructive"},
    {Errc::transaction_cyclic, "org.pidward1.TransactionOrderIsCyclic"},
    {Errc::transaction_conflict, "org.pidward1.TransactionJobsConflicting"},
    {Errc::shutting_down, "org.pidward1.ShuttingDown"},
    {Errc::no_such_process, "org.pidward1.NoSuchProcess"},
    {Errc::process_mismatch, "org.pidward1.ProcessMismatch"},
}};

}  // namespace

std::string_view error_name(Errc code) {
  for (const auto& [known, name] : kNames) {
    if (known == code) return name;
  }
  return kNames[0].second;
}

Errc error_code(std::string_view name) {
  constexpr std::string_view kSystemd = "org.freedesktop.systemd1.";
  std::string own;
  if (name.substr(0, kSystemd.size()) == kSystemd) {
    own = "org.pidward1." + std::string(name.substr(kSystemd.size()));
    name = own;
  }
  for (const auto& [code, known] : kNames) {
    if (known == name) return code;
  }
  if (name == "org.freedesktop.DBus.Error.UnknownObject") return Errc::not_found;
  return Errc::failed;
}

std::string error_text(const Error& error) {
  return error.to_string();
}

}  // namespace pidward::bus
