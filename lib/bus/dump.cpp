#include "bus/dump.hpp"

#include <algorithm>

#include <fmt/core.h>
#include <fnmatch.h>

namespace pidward::bus {
namespace {

void dump_manager(std::string& out, const Services& services) {
  const runtime::Manager& manager = services.manager;
  out += fmt::format("Manager: {}\n", runtime::to_string(manager.system_state()));
  out += fmt::format("  runtime directory: {}\n", manager.config().runtime_directory);
  for (const std::string& directory : manager.search_path().directories) {
    out += fmt::format("  unit path: {}\n", directory);
  }
  for (const sys::FeatureText& text : sys::feature_texts()) {
    out += fmt::format("  kernel feature {}: {}\n", text.name,
                       sys::to_string(manager.features().state(text.feature)));
  }
}

void dump_unit(std::string& out, const Services& services, UnitId id) {
  const engine::Engine& engine = services.manager.engine();
  const engine::UnitStatus status = engine.status(id);
  const unit::UnitSpec& spec = *status.spec;
  out += fmt::format("-> Unit {}:\n", spec.name.str());
  out += fmt::format("  state: {} {} ({})\n", unit::to_string(spec.load_state),
                     engine::to_string(status.active), status.sub);
  if (spec.fragment) out += fmt::format("  fragment: {}\n", spec.fragment->path);
  for (const unit::SourceFile& dropin : spec.dropins) {
    out += fmt::format("  drop-in: {}\n", dropin.path);
  }
  if (!status.invocation.is_null()) {
    out += fmt::format("  invocation: {}\n", status.invocation.to_string());
  }
  if (status.job) out += fmt::format("  job: {}\n", status.job.number());
  for (const unit::Diagnostic& diagnostic : spec.diagnostics) {
    out += fmt::format("  {}\n", diagnostic.to_string());
  }
  for (const runtime::ProcessInfo& process : services.manager.list_processes(id)) {
    out += fmt::format("  process {}: pid {}, {}, {}\n", process.id.number(), process.pid,
                       process::to_string(process.role), process.command);
  }
  for (std::size_t kind = 0; kind < unit::kDependencies; ++kind) {
    const auto dependency = static_cast<unit::Dependency>(kind);
    for (const UnitId other : engine.related(id, dependency)) {
      out += fmt::format("  {}: {}\n", unit::to_string(dependency), engine.spec(other)->name.str());
    }
  }
}

}  // namespace

std::string dump_text(const Services& services, const std::vector<std::string>& patterns) {
  std::string out;
  const engine::Engine& engine = services.manager.engine();
  if (patterns.empty()) dump_manager(out, services);
  for (const UnitId id : engine.units()) {
    const std::string& name = engine.spec(id)->name.str();
    const bool wanted =
        patterns.empty() ||
        std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
          return ::fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
        });
    if (wanted) dump_unit(out, services, id);
  }
  if (!patterns.empty()) return out;
  for (const JobId id : engine.jobs()) {
    const auto job = engine.job(id);
    out += fmt::format("-> Job {}: {} {} ({})\n", id.number(), engine::to_string(job->type),
                       engine.spec(job->unit)->name.str(), engine::to_string(job->state));
  }
  return out;
}

}  // namespace pidward::bus
