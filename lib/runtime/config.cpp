#include "runtime/config.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <functional>

#include <fmt/core.h>
#include <unistd.h>

#include "sys/features.hpp"
#include "unit/name.hpp"
#include "unit/nearest.hpp"
#include "unit/time_span.hpp"
#include "unit/yaml/yaml_tree.hpp"

namespace pidward::runtime {
namespace {

using unit::YamlNode;

/// What is wrong with a value, without the place; nothing when it was taken.
using Complaint = std::optional<std::string>;

struct Setting {
  std::string_view name;
  Complaint (*read)(const YamlNode& node, Config& config);
};

Complaint not_a(std::string_view what, const YamlNode& node) {
  if (node.kind != YamlNode::Kind::scalar) return fmt::format("{} is expected", what);
  return fmt::format("\"{}\" is not {}", node.text, what);
}

Complaint read_boolean(const YamlNode& node, bool& value) {
  static constexpr std::array<std::string_view, 3> kYes{"true", "yes", "on"};
  static constexpr std::array<std::string_view, 3> kNo{"false", "no", "off"};
  if (node.kind != YamlNode::Kind::scalar) return not_a("true or false", node);
  if (std::ranges::find(kYes, node.text) != kYes.end()) {
    value = true;
  } else if (std::ranges::find(kNo, node.text) != kNo.end()) {
    value = false;
  } else {
    return not_a("true or false", node);
  }
  return std::nullopt;
}

Complaint read_text(const YamlNode& node, std::string& value) {
  if (node.kind != YamlNode::Kind::scalar) return not_a("a text", node);
  value = node.text;
  return std::nullopt;
}

Complaint read_path(const YamlNode& node, std::string& value) {
  if (node.kind != YamlNode::Kind::scalar || !node.text.starts_with('/')) {
    return not_a("an absolute path", node);
  }
  value = node.text;
  return std::nullopt;
}

Complaint read_list(const YamlNode& node, std::vector<std::string>& value) {
  if (node.kind == YamlNode::Kind::null) {
    value.clear();
    return std::nullopt;
  }
  if (node.kind != YamlNode::Kind::list) return "a list is expected";
  std::vector<std::string> items;
  for (const YamlNode& item : node.items) {
    if (item.kind != YamlNode::Kind::scalar) return "a list of texts is expected";
    items.push_back(item.text);
  }
  value = std::move(items);
  return std::nullopt;
}

Complaint read_span(const YamlNode& node, Duration& value) {
  if (node.kind != YamlNode::Kind::scalar) return not_a("a time span such as 90s", node);
  const auto span = unit::parse_time_span(node.text);
  if (!span) return not_a("a time span such as 90s", node);
  value = *span;
  return std::nullopt;
}

// Digits, with K, M or G (base 1024) where `units`.
Complaint read_size(const YamlNode& node, std::uint64_t least, std::uint64_t most, bool units,
                    std::uint64_t& value) {
  const std::string expected = fmt::format("a number from {} to {}", least, most);
  if (node.kind != YamlNode::Kind::scalar || node.text.empty()) return not_a(expected, node);
  std::string digits = node.text;
  unsigned shift = 0;
  const std::size_t unit = std::string_view("KMG").find(digits.back());
  if (units && unit != std::string_view::npos) {
    shift = static_cast<unsigned>(10 * (unit + 1));
    digits.pop_back();
  }
  if (digits.empty() || digits.size() > 15 ||
      digits.find_first_not_of("0123456789") != std::string::npos) {
    return not_a(expected, node);
  }
  const std::uint64_t number = std::strtoull(digits.c_str(), nullptr, 10);
  if (number > (most >> shift) || (number << shift) < least) return not_a(expected, node);
  value = number << shift;
  return std::nullopt;
}

Complaint read_count(const YamlNode& node, std::uint64_t least, std::uint64_t most,
                     std::uint32_t& value) {
  std::uint64_t number = 0;
  const Complaint complaint = read_size(node, least, most, false, number);
  if (!complaint) value = static_cast<std::uint32_t>(number);
  return complaint;
}

Complaint read_bus(const YamlNode& node, Config& config) {
  if (node.kind == YamlNode::Kind::scalar) {
    if (node.text == "auto")
      config.bus = BusMode::automatic;
    else if (node.text == "off")
      config.bus = BusMode::off;
    else if (node.text == "required")
      config.bus = BusMode::required;
    else
      return not_a("auto, off or required", node);
    return std::nullopt;
  }
  return not_a("auto, off or required", node);
}

Complaint read_level(const YamlNode& node, Config& config) {
  if (node.kind != YamlNode::Kind::scalar) return not_a("a log level", node);
  const auto level = parse_log_level(node.text);
  if (!level) return not_a("a log level", node);
  config.log_level = *level;
  return std::nullopt;
}

Complaint read_environment(const YamlNode& node, Config& config) {
  if (node.kind != YamlNode::Kind::map) return "a map of names to values is expected";
  std::vector<std::string> block;
  for (std::size_t i = 0; i + 1 < node.items.size(); i += 2) {
    if (node.items[i + 1].kind != YamlNode::Kind::scalar) return "values must be texts";
    block.push_back(fmt::format("{}={}", node.items[i].text, node.items[i + 1].text));
  }
  config.default_environment = std::move(block);
  return std::nullopt;
}

Complaint read_default_target(const YamlNode& node, Config& config) {
  if (auto wrong = read_text(node, config.default_target)) return wrong;
  const auto name = unit::UnitName::parse(config.default_target);
  return name && !name->is_template() ? std::nullopt : not_a("the name of a unit", node);
}

Complaint read_control_group(const YamlNode& node, Config& config) {
  if (auto wrong = read_text(node, config.control_group)) return wrong;
  const bool leads_out = ("/" + config.control_group + "/").find("/../") != std::string::npos;
  return leads_out ? not_a("a path without '..'", node) : std::nullopt;
}

Complaint read_disabled_features(const YamlNode& node, Config& config) {
  if (auto wrong = read_list(node, config.disabled_features)) return wrong;
  for (const std::string& name : config.disabled_features) {
    const bool known = std::ranges::any_of(
        sys::feature_texts(), [&](const sys::FeatureText& text) { return text.name == name; });
    if (!known) return fmt::format("\"{}\" is no kernel feature of pidwardctl features", name);
  }
  return std::nullopt;
}

constexpr std::uint64_t kMostLogBytes = std::uint64_t{1} << 40U;

constexpr std::array kSettings{
    Setting{"runtime-directory",
            [](const YamlNode& n, Config& c) { return read_path(n, c.runtime_directory); }},
    Setting{"state-directory",
            [](const YamlNode& n, Config& c) { return read_path(n, c.state_directory); }},
    Setting{"log-directory",
            [](const YamlNode& n, Config& c) { return read_path(n, c.log_directory); }},
    Setting{"unit-path", [](const YamlNode& n, Config& c) { return read_list(n, c.unit_path); }},
    Setting{"systemd-directories",
            [](const YamlNode& n, Config& c) { return read_boolean(n, c.systemd_directories); }},
    Setting{"default-target", read_default_target},
    Setting{"bus", read_bus},
    Setting{"log-level", read_level},
    Setting{"strict-units",
            [](const YamlNode& n, Config& c) { return read_boolean(n, c.strict_units); }},
    Setting{"control-group", read_control_group},
    Setting{"use-control-groups",
            [](const YamlNode& n, Config& c) { return read_boolean(n, c.use_control_groups); }},
    Setting{"disabled-features", read_disabled_features},
    Setting{"log-max-bytes",
            [](const YamlNode& n, Config& c) {
              return read_size(n, 65536, kMostLogBytes, true, c.log_max_bytes);
            }},
    Setting{"log-max-files",
            [](const YamlNode& n, Config& c) { return read_count(n, 2, 1000, c.log_max_files); }},
    Setting{"default-timeout-start",
            [](const YamlNode& n, Config& c) { return read_span(n, c.default_timeout_start); }},
    Setting{"default-timeout-stop",
            [](const YamlNode& n, Config& c) { return read_span(n, c.default_timeout_stop); }},
    Setting{"default-timeout-abort",
            [](const YamlNode& n, Config& c) {
              c.default_timeout_abort.reset();
              if (n.kind == YamlNode::Kind::null) return Complaint();
              return read_span(n, c.default_timeout_abort.emplace());
            }},
    Setting{"default-restart",
            [](const YamlNode& n, Config& c) { return read_span(n, c.default_restart); }},
    Setting{
        "default-start-limit-interval",
        [](const YamlNode& n, Config& c) { return read_span(n, c.default_start_limit_interval); }},
    Setting{"default-start-limit-burst",
            [](const YamlNode& n, Config& c) {
              return read_count(n, 0, UINT32_MAX, c.default_start_limit_burst);
            }},
    Setting{"default-environment", read_environment},
};

std::string directory_variable(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets variables
  return value != nullptr && *value == '/' ? std::string(value) : std::string();
}

std::string located(const std::string& path, const unit::TextPosition& at, std::string_view what) {
  return fmt::format("{}:{}:{}: {}", path, at.line, at.column, what);
}

std::string unknown_key(std::string_view key) {
  unit::NearestWord nearest(key);
  for (const Setting& setting : kSettings) nearest.consider(setting.name);
  if (const auto name = nearest.get()) {
    return fmt::format("there is no setting \"{}\"; did you mean \"{}\"?", key, *name);
  }
  return fmt::format("there is no setting \"{}\"", key);
}

}  // namespace

Result<Config> default_config(unit::Scope scope) {
  Config config;
  config.scope = scope;
  if (scope == unit::Scope::system) {
    config.runtime_directory = "/run/pidward";
    config.state_directory = "/var/lib/pidward";
    config.log_directory = "/var/log/pidward";
    return config;
  }
  const std::string runtime = directory_variable("XDG_RUNTIME_DIR");
  if (runtime.empty()) {
    return Error(Errc::not_found, "XDG_RUNTIME_DIR is not set")
        .advise("Set it to a directory of your own, or name one with --runtime-dir");
  }
  std::string state = directory_variable("XDG_STATE_HOME");
  if (state.empty()) state = directory_variable("HOME") + "/.local/state";
  config.runtime_directory = runtime + "/pidward";
  config.state_directory = state + "/pidward";
  config.log_directory = state + "/pidward/log";
  return config;
}

Result<Config> read_config(const std::string& text, const std::string& path, Config base) {
  auto tree = unit::parse_yaml(text);
  if (!tree) {
    Location where = tree.error().where().value_or(Location{});
    where.file = path;
    return std::move(tree).error().at(where);
  }
  if (tree->kind == YamlNode::Kind::null) return base;
  std::vector<std::string> complaints;
  if (tree->kind != YamlNode::Kind::map) {
    complaints.push_back(located(path, tree->at, "a map of settings is expected"));
  } else {
    for (std::size_t i = 0; i + 1 < tree->items.size(); i += 2) {
      const YamlNode& key = tree->items[i];
      const YamlNode& value = tree->items[i + 1];
      const auto* setting = std::ranges::find(kSettings, key.text, &Setting::name);
      if (setting == kSettings.end()) {
        complaints.push_back(located(path, key.at, unknown_key(key.text)));
      } else if (const Complaint complaint = setting->read(value, base)) {
        complaints.push_back(
            located(path, value.at, fmt::format("{}: {}", setting->name, *complaint)));
      }
    }
  }
  if (complaints.empty()) return base;
  std::string all;
  for (const std::string& complaint : complaints) all += (all.empty() ? "" : "\n") + complaint;
  return Error(Errc::syntax, all);
}

}  // namespace pidward::runtime
