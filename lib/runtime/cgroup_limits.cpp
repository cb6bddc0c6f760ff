// Resource control, carried out: controllers down to where they are needed, limits into interface
// files.
#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include "runtime/cgroup_tree.hpp"
#include "unit/directive.hpp"

namespace pidward::runtime {
namespace {

std::string_view name_of(unit::Directive directive) {
  return unit::row(directive).name;
}

}  // namespace

void CgroupTree::deplore(const unit::UnitSpec& spec) const {
  if (!limits_anything(spec.settings)) return;
  std::string names;
  for (const ControlFile& file : control_files(spec.settings, machine_size())) {
    if (!file.is_set || has_word(names, fmt::format("{}=", name_of(file.directive)))) continue;
    names += fmt::format("{}{}=", names.empty() ? "" : " ", name_of(file.directive));
  }
  log_about(LogLevel::warning, spec, "no-control-group",
            fmt::format("{} without effect: {}", names,
                        why_not_.empty() ? "there are no control groups" : why_not_));
}

void CgroupTree::prepare_parents(const std::string& path, const unit::UnitSpec& spec) {
  std::vector<std::string_view> wanted = wanted_controllers(spec.settings);
  // A slice's limits need their controllers as well, in the folder that the slice is in.
  struct Parent {
    std::string path;
    unit::UnitSpecPtr spec;
  };
  std::vector<Parent> parents;
  for (std::size_t slash = path.find('/'); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    Parent parent{path.substr(0, slash), nullptr};
    const auto name = unit::UnitName::parse(parent.path.substr(parent.path.rfind('/') + 1));
    const auto slice = name ? core_.engine.find(*name) : std::nullopt;
    if (slice) parent.spec = core_.engine.spec(*slice);
    parents.push_back(std::move(parent));
  }
  for (auto parent = parents.rbegin(); parent != parents.rend(); ++parent) {
    auto directory = sys::CgroupDir::create(*mount_, full_path({.path = parent->path}));
    if (!directory) return;  // the unit's own group will say why
  }
  const auto enable_all = [&](const sys::CgroupDir& directory, std::size_t first) {
    std::vector<std::string_view> here = wanted;
    for (std::size_t i = first; i < parents.size(); ++i) {
      if (!parents[i].spec) continue;
      for (const std::string_view each : wanted_controllers(parents[i].spec->settings)) {
        if (std::ranges::find(here, each) == here.end()) here.push_back(each);
      }
    }
    enable_controllers(directory, here, spec);
  };
  enable_all(base_, 0);
  for (std::size_t i = 0; i < parents.size(); ++i) {
    const auto directory = sys::CgroupDir::open(*mount_, full_path({.path = parents[i].path}));
    if (!directory) return;
    if (parents[i].spec) write_limits(*directory, parents[i].path, false, *parents[i].spec);
    enable_all(*directory, i + 1);
  }
}

void CgroupTree::enable_controllers(const sys::CgroupDir& parent,
                                    const std::vector<std::string_view>& wanted,
                                    const unit::UnitSpec& spec) {
  const auto enabled = parent.read("cgroup.subtree_control");
  if (!enabled) return;
  for (const std::string_view controller : wanted) {
    if (has_word(*enabled, controller) || !has_word(controllers_, controller)) continue;
    // Each for itself: one that is refused leaves the others alone.
    Status done = parent.write("cgroup.subtree_control", fmt::format("+{}", controller));
    if (done || !limits_anything(spec.settings)) continue;
    log_about(
        LogLevel::warning, spec, "no-controller",
        fmt::format("The {} controller cannot be used: {}", controller, done.error().to_string()));
  }
}

void CgroupTree::write_limits(const sys::CgroupDir& directory, const std::string& path, bool is_new,
                              const unit::UnitSpec& spec) {
  const auto known = limits_.find(path);
  const bool limited = limits_anything(spec.settings);
  if (!limited && known == limits_.end() && (is_new || controllers_.empty())) return;
  const auto id = directory.id();
  if (!id) return;
  const bool same = known != limits_.end() && known->second.group == *id;
  if (!limited && same && known->second.written.empty()) return;
  // What is there already need not be written again; of a group that an earlier daemon made,
  // nothing is known.
  const auto written_before = [&](std::string_view file) -> const std::string* {
    if (!same) return nullptr;
    const auto& list = known->second.written;
    const auto found = std::ranges::find(list, file, [](const auto& each) { return each.first; });
    return found == list.end() ? nullptr : &found->second;
  };
  Limits now{*id, {}};
  for (ControlFile& file : control_files(spec.settings, machine_size())) {
    const std::string* const before = written_before(file.name);
    const bool due = file.is_set ? before == nullptr || *before != file.text
                                 : before != nullptr || (!same && !is_new);
    if (due) {
      // An empty set is a line of its own.
      Status done = directory.write(std::string(file.name), file.text.empty() ? "\n" : file.text);
      if (!done && file.is_set) {
        const bool missing = done.error().sys_errno() == ENOENT;
        log_about(LogLevel::warning, spec, "no-limit",
                  missing ? fmt::format("{}= has no effect: cgroup v2 has no {} here",
                                        name_of(file.directive), file.name)
                          : fmt::format("{}= has no effect: {}", name_of(file.directive),
                                        done.error().to_string()));
      }
    }
    if (file.is_set) now.written.emplace_back(file.name, std::move(file.text));
  }
  limits_.insert_or_assign(path, std::move(now));
}

void CgroupTree::delegate(const sys::CgroupDir& group, const unit::UnitSpec& spec,
                          std::pair<uid_t, gid_t> owner) {
  if (owner.first == static_cast<uid_t>(-1) || !delegated_controllers(spec.settings)) return;
  for (const char* file : {".", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"}) {
    if (::fchownat(group.get(), file, owner.first, owner.second, 0) == 0) continue;
    return log_about(
        LogLevel::warning, spec, "delegate",
        Error::from_errno(errno, "Delegate=: the control group cannot be given to its user")
            .to_string());
  }
}

void CgroupTree::apply_limits(UnitId unit, const unit::UnitSpec& spec) {
  if (!is_available()) return;
  const auto found = groups_.find(unit);
  const bool is_slice = spec.name.type() == unit::UnitType::slice;
  if (found == groups_.end() && !is_slice) return;
  std::string path =
      is_slice ? group_path_of(spec, core_.config.scope == unit::Scope::user) : found->second.path;
  while (path.ends_with('/')) path.pop_back();
  if (path.empty()) return;
  const auto directory = sys::CgroupDir::open(*mount_, full_path({.path = path}));
  if (!directory) return;
  if (!controllers_.empty() && limits_anything(spec.settings)) prepare_parents(path, spec);
  // A unit of which nothing is noted has a group that we made and wrote nothing to.
  write_limits(*directory, path, !is_slice, spec);
}

}  // namespace pidward::runtime
