// Where groups are: the pure half of the tree.
#include <charconv>

#include <fmt/core.h>

#include "runtime/cgroup_tree.hpp"

namespace pidward::runtime {
namespace {

std::string join(const std::string& parent, const std::string& child) {
  return parent == "/" ? "/" + child : parent + "/" + child;
}

std::string without_slashes(std::string_view text) {
  while (text.starts_with('/')) text.remove_prefix(1);
  while (text.ends_with('/')) text.remove_suffix(1);
  return std::string(text);
}

// "a-b.slice" lies in a.slice; "-.slice" is the base itself.
std::string slice_path(std::string_view slice) {
  const std::string_view stem = slice.substr(0, slice.rfind(".slice"));
  std::string path;
  if (stem == "-" || stem.empty()) return path;
  for (std::size_t dash = stem.find('-');; dash = stem.find('-', dash + 1)) {
    path += fmt::format("{}.slice/", stem.substr(0, dash));
    if (dash == std::string_view::npos) return path;
  }
}

// Names the kernel keeps for itself get an underscore in front, and so does one that begins with
// it.
std::string escape_group_name(const std::string& name) {
  const bool reserved = name.starts_with('_') || name.starts_with('.') || name == "tasks" ||
                        name == "notify_on_release" || name == "release_agent" ||
                        name.starts_with("cgroup.");
  return reserved ? "_" + name : name;
}

std::string slice_of(const unit::UnitSpec& spec, bool user_manager) {
  if (const std::string& slice = spec.settings.string(unit::Directive::Slice); !slice.empty()) {
    return slice;
  }
  for (const unit::DependencyEdge& edge : spec.dependencies) {
    if (edge.kind == unit::Dependency::InSlice) return edge.other.str();
  }
  return user_manager ? "app.slice" : "system.slice";
}

}  // namespace

BaseGroup choose_base_group(const BaseGroupFacts& facts) {
  if (const std::string name = without_slashes(facts.configured); !name.empty()) {
    return {join(facts.own, name), false};
  }
  if (facts.is_init || (facts.alone && facts.own != "/")) {
    // Ours alone. With version 2 for everything, a group with controllers holds no processes
    // itself.
    return {facts.own, facts.unified && facts.own != "/"};
  }
  return {join(facts.own, facts.default_name), false};
}

std::uint64_t parse_oom_kills(std::string_view memory_events) {
  constexpr std::string_view kKey = "oom_kill ";
  std::size_t at = memory_events.find(kKey);
  while (at != std::string_view::npos && at != 0 && memory_events[at - 1] != '\n') {
    at = memory_events.find(kKey, at + 1);
  }
  if (at == std::string_view::npos) return 0;
  std::uint64_t count = 0;
  const std::string_view digits = memory_events.substr(at + kKey.size());
  std::from_chars(digits.data(), digits.data() + digits.size(), count);
  return count;
}

std::string group_path_of(const unit::UnitSpec& spec, bool user_manager) {
  if (spec.name.type() == unit::UnitType::slice) return slice_path(spec.name.str());
  return slice_path(slice_of(spec, user_manager)) + escape_group_name(spec.name.str());
}

}  // namespace pidward::runtime
