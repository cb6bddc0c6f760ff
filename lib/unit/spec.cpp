#include "unit/spec.hpp"

#include <algorithm>
#include <array>

#include <fmt/core.h>

namespace pidward::unit {
namespace {

struct DependencyRow {
  std::string_view name;
  Dependency reverse;
};

// In the order of the enum.
constexpr std::array<DependencyRow, kDependencies> kDependencyRows{{
    {"Requires", Dependency::RequiredBy},
    {"Requisite", Dependency::RequisiteOf},
    {"Wants", Dependency::WantedBy},
    {"BindsTo", Dependency::BoundBy},
    {"PartOf", Dependency::ConsistsOf},
    {"Upholds", Dependency::UpheldBy},
    {"RequiredBy", Dependency::Requires},
    {"RequisiteOf", Dependency::Requisite},
    {"WantedBy", Dependency::Wants},
    {"BoundBy", Dependency::BindsTo},
    {"ConsistsOf", Dependency::PartOf},
    {"UpheldBy", Dependency::Upholds},
    {"Conflicts", Dependency::ConflictedBy},
    {"ConflictedBy", Dependency::Conflicts},
    {"Before", Dependency::After},
    {"After", Dependency::Before},
    {"OnFailure", Dependency::OnFailureOf},
    {"OnFailureOf", Dependency::OnFailure},
    {"OnSuccess", Dependency::OnSuccessOf},
    {"OnSuccessOf", Dependency::OnSuccess},
    {"Triggers", Dependency::TriggeredBy},
    {"TriggeredBy", Dependency::Triggers},
    {"PropagatesReloadTo", Dependency::ReloadPropagatedFrom},
    {"ReloadPropagatedFrom", Dependency::PropagatesReloadTo},
    {"PropagatesStopTo", Dependency::StopPropagatedFrom},
    {"StopPropagatedFrom", Dependency::PropagatesStopTo},
    {"JoinsNamespaceOf", Dependency::JoinsNamespaceOf},
    {"References", Dependency::ReferencedBy},
    {"ReferencedBy", Dependency::References},
    {"InSlice", Dependency::SliceOf},
    {"SliceOf", Dependency::InSlice},
}};

const DependencyRow& row_of(Dependency dependency) {
  return kDependencyRows.at(static_cast<std::size_t>(dependency));
}

}  // namespace

std::string_view to_string(Diagnostic::Severity severity) {
  switch (severity) {
    case Diagnostic::Severity::error:
      return "error";
    case Diagnostic::Severity::warning:
      return "warning";
    case Diagnostic::Severity::unsupported:
      return "unsupported";
    case Diagnostic::Severity::note:
      return "note";
  }
  return "";
}

Diagnostic warning_about(const std::string& file, std::string message, std::string advice) {
  return {Diagnostic::Severity::warning, Location{file}, std::move(message), std::move(advice)};
}

std::string_view to_string(Dependency dependency) {
  return row_of(dependency).name;
}
Dependency reverse(Dependency dependency) {
  return row_of(dependency).reverse;
}

std::string_view to_string(LoadState state) {
  switch (state) {
    case LoadState::stub:
      return "stub";
    case LoadState::loaded:
      return "loaded";
    case LoadState::not_found:
      return "not-found";
    case LoadState::bad_setting:
      return "bad-setting";
    case LoadState::error:
      return "error";
    case LoadState::merged:
      return "merged";
    case LoadState::masked:
      return "masked";
  }
  return "";
}

std::string Diagnostic::to_string() const {
  const std::string place = where.to_string();
  std::string text = place.empty() ? std::string() : place + ": ";
  text += fmt::format("{}: {}", unit::to_string(severity), message);
  if (!advice.empty()) text += fmt::format(" ({})", advice);
  return text;
}

bool UnitSpec::ignores_isolate() const {
  if (settings.is_set(Directive::IgnoreOnIsolate)) {
    return settings.boolean(Directive::IgnoreOnIsolate);
  }
  switch (name.type()) {
    case UnitType::service:
    case UnitType::target:
    case UnitType::socket:
    case UnitType::timer:
    case UnitType::path:
      return false;
    case UnitType::slice:
    case UnitType::scope:
    case UnitType::mount:
    case UnitType::automount:
    case UnitType::swap:
    case UnitType::device:
      return true;
  }
  return true;
}

const std::string& UnitSpec::descriptor_name() const {
  static const std::string kConnection = "connection";
  const std::string& given = settings.string(Directive::FileDescriptorName);
  if (!given.empty()) return given;
  return settings.boolean(Directive::Accept) ? kConnection : name.str();
}

std::optional<Error> UnitSpec::load_error() const {
  Errc code = Errc::unit_load_failed;
  std::string summary;
  switch (load_state) {
    case LoadState::stub:
    case LoadState::loaded:
    case LoadState::merged:
      return std::nullopt;
    case LoadState::not_found:
      code = Errc::no_such_unit;
      summary = fmt::format("Unit {} not found", name.str());
      break;
    case LoadState::masked:
      code = Errc::unit_masked;
      summary = fmt::format("Unit {} is masked", name.str());
      break;
    case LoadState::bad_setting:
      summary = fmt::format("Unit {} has a bad unit file setting", name.str());
      break;
    case LoadState::error:
      summary = fmt::format("Unit {} could not be loaded", name.str());
      break;
  }
  const auto first = std::find_if(
      diagnostics.begin(), diagnostics.end(),
      [](const Diagnostic& found) { return found.severity == Diagnostic::Severity::error; });
  if (first == diagnostics.end()) return Error(code, summary + ".");
  Error error = Error(code, fmt::format("{}: {}", summary, first->message)).advise(first->advice);
  if (first->where.file.empty()) return error;
  return std::move(error).at(first->where);
}

}  // namespace pidward::unit
