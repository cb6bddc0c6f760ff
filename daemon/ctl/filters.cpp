#include "ctl/filters.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include <fmt/core.h>
#include <fmt/ranges.h>

#include "unit/name.hpp"

namespace pidward::ctl {
namespace {

using Words = std::vector<std::string_view>;

struct StateWords {
  std::string_view title;
  Words words;
};

/// systemd's words, also those that no unit of pidward's gets: who asks for them is told that there
/// is none.
const std::array<StateWords, 10>& known_states() {
  static const std::array<StateWords, 10> states{{
      {"Load states", {"stub", "loaded", "not-found", "bad-setting", "error", "merged", "masked"}},
      {"Active states",
       {"active", "reloading", "inactive", "failed", "activating", "deactivating", "maintenance"}},
      {"States of unit files",
       {"enabled", "enabled-runtime", "linked", "linked-runtime", "alias", "masked",
        "masked-runtime", "static", "disabled", "indirect", "generated", "transient", "bad"}},
      {"Sub-states of services",
       {"dead",           "condition",     "start-pre",     "start",         "start-post",
        "running",        "exited",        "reload",        "reload-signal", "reload-notify",
        "stop",           "stop-watchdog", "stop-sigterm",  "stop-sigkill",  "stop-post",
        "final-watchdog", "final-sigterm", "final-sigkill", "failed",        "auto-restart",
        "cleaning"}},
      {"Sub-states of sockets",
       {"dead", "start-pre", "start", "start-chown", "start-post", "listening", "running",
        "stop-pre", "stop-pre-sigterm", "stop-pre-sigkill", "stop-post", "final-sigterm",
        "final-sigkill", "failed", "cleaning"}},
      {"Sub-states of targets and slices", {"dead", "active"}},
      {"Sub-states of timers and paths", {"dead", "waiting", "running", "elapsed", "failed"}},
      {"Sub-states of scopes",
       {"dead", "start-chown", "running", "abandoned", "stop-sigterm", "stop-sigkill", "failed"}},
      {"Sub-states of devices and automounts",
       {"dead", "tentative", "plugged", "waiting", "running", "failed"}},
      {"Sub-states of mounts and swaps",
       {"dead", "mounting", "mounting-done", "mounted", "remounting", "unmounting",
        "remounting-sigterm", "remounting-sigkill", "unmounting-sigterm", "unmounting-sigkill",
        "activating", "activating-done", "active", "deactivating", "deactivating-sigterm",
        "deactivating-sigkill", "failed", "cleaning"}},
  }};
  return states;
}

Words known_types() {
  Words types;
  for (std::size_t i = 0; i < unit::kUnitTypes; ++i) {
    types.push_back(unit::to_string(static_cast<unit::UnitType>(i)));
  }
  return types;
}

bool is_known_state(std::string_view word) {
  return std::any_of(known_states().begin(), known_states().end(), [&](const StateWords& group) {
    return std::find(group.words.begin(), group.words.end(), word) != group.words.end();
  });
}

std::vector<std::string> split(const std::vector<std::string>& lists) {
  std::vector<std::string> out;
  for (const std::string& list : lists) {
    for (std::size_t at = 0; at < list.size();) {
      const std::size_t end = std::min(list.find(',', at), list.size());
      if (end > at) out.push_back(list.substr(at, end - at));
      at = end + 1;
    }
  }
  return out;
}

bool contains(const std::vector<std::string>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace

Status read_filters(Options& options) {
  options.types = split(options.types);
  options.states = split(options.states);
  for (const std::string& type : options.types) {
    if (type == "help" || unit::parse_unit_type(type)) continue;
    return Error(Errc::invalid_argument, fmt::format("there is no unit type '{}'; known are {}",
                                                     type, fmt::join(known_types(), ", ")));
  }
  for (const std::string& state : options.states) {
    if (state == "help" || is_known_state(state)) continue;
    return Error(Errc::invalid_argument,
                 fmt::format("no unit has a state '{}'; known are {} and the sub-states that "
                             "--state=help lists",
                             state, fmt::join(known_states()[1].words, ", ")));
  }
  if (options.failed) options.states.emplace_back("failed");
  return {};
}

bool print_known_words(const Options& options) {
  if (contains(options.types, "help")) {
    fmt::print("Unit types:\n{}\n", fmt::join(known_types(), "\n"));
    return true;
  }
  if (!contains(options.states, "help")) return false;
  const char* gap = "";
  for (const StateWords& group : known_states()) {
    fmt::print("{}{}:\n{}\n", gap, group.title, fmt::join(group.words, "\n"));
    gap = "\n";
  }
  return true;
}

bool has_type(const Options& options, const std::string& name) {
  return options.types.empty() ||
         std::any_of(options.types.begin(), options.types.end(),
                     [&](const std::string& type) { return name.ends_with("." + type); });
}

bool is_wanted(const Options& options, const bus::Data& row) {
  if (!has_type(options, row.items[0].text)) return false;
  const bool is_idle = row.items[3].text == "inactive" && row.items[7].number == 0;
  if (options.states.empty()) return options.all || !is_idle;
  // Load, active and sub-state.
  return std::any_of(row.items.begin() + 2, row.items.begin() + 5,
                     [&](const bus::Data& state) { return contains(options.states, state.text); });
}

}  // namespace pidward::ctl
