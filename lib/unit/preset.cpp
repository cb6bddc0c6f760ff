#include "unit/preset.hpp"

#include <algorithm>
#include <map>

#include <fmt/core.h>
#include <fnmatch.h>

namespace pidward::unit {
namespace {

constexpr std::size_t kMaxPresetFile = 1UL << 20U;
constexpr std::string_view kBlanks = " \t\r";

std::vector<std::string> words_of(std::string_view line) {
  std::vector<std::string> out;
  for (std::size_t at = line.find_first_not_of(kBlanks); at != std::string_view::npos;) {
    const std::size_t end = std::min(line.find_first_of(kBlanks, at), line.size());
    out.emplace_back(line.substr(at, end - at));
    at = line.find_first_not_of(kBlanks, end);
  }
  return out;
}

bool is_preset_file(std::string_view name) {
  constexpr std::string_view kSuffix = ".preset";
  return name.size() > kSuffix.size() && name.front() != '.' &&
         name.substr(name.size() - kSuffix.size()) == kSuffix;
}

bool is_null_link(const FileSource& files, const std::string& path) {
  const auto info = files.info(path);
  if (!info) return false;
  if (info->kind != FileKind::symlink) return info->kind == FileKind::null_device;
  const auto target = files.read_link(path);
  return target && *target == "/dev/null";
}

}  // namespace

Presets::Presets(const FileSource& files, const std::vector<std::string>& directories) {
  std::map<std::string, std::string> chosen;  // file name to path, the first directory's wins
  for (const std::string& directory : directories) {
    const auto names = files.list(directory);
    if (!names) {
      diagnostics_.push_back(
          {Diagnostic::Severity::warning,
           Location{directory},
           fmt::format("the directory cannot be listed: {}", names.error().message()),
           {}});
      continue;
    }
    for (const std::string& name : *names) {
      if (is_preset_file(name)) chosen.emplace(name, directory + "/" + name);
    }
  }
  for (const auto& [name, path] : chosen) {
    if (is_null_link(files, path)) continue;
    const auto content = files.read(path, kMaxPresetFile);
    if (content) {
      read(path, *content);
    } else {
      diagnostics_.push_back({Diagnostic::Severity::warning,
                              Location{path},
                              fmt::format("the file cannot be read: {}", content.error().message()),
                              {}});
    }
  }
}

void Presets::read(const std::string& path, const std::string& content) {
  std::uint32_t line_number = 0;
  for (std::size_t at = 0; at < content.size();) {
    const std::size_t end = std::min(content.find('\n', at), content.size());
    const std::string_view line = std::string_view(content).substr(at, end - at);
    at = end + 1;
    ++line_number;
    std::vector<std::string> words = words_of(line);
    if (words.empty() || words[0][0] == '#' || words[0][0] == ';') continue;
    Rule rule;
    if (words[0] == "enable") {
      rule.action = PresetAction::enable;
    } else if (words[0] == "disable") {
      rule.action = PresetAction::disable;
    } else if (words[0] == "ignore") {
      rule.action = PresetAction::ignore;
    } else {
      diagnostics_.push_back({Diagnostic::Severity::warning, Location{path, line_number, 1},
                              fmt::format("\"{}\" is not understood here", words[0]),
                              "Preset lines begin with enable, disable or ignore"});
      continue;
    }
    if (words.size() < 2) {
      diagnostics_.push_back({Diagnostic::Severity::warning,
                              Location{path, line_number, 1},
                              fmt::format("\"{}\" needs the name of a unit", words[0]),
                              {}});
      continue;
    }
    rule.pattern = std::move(words[1]);
    if (rule.action == PresetAction::enable) rule.instances.assign(words.begin() + 2, words.end());
    rules_.push_back(std::move(rule));
  }
}

PresetVerdict Presets::query(const UnitName& name) const {
  for (const Rule& rule : rules_) {
    if (::fnmatch(rule.pattern.c_str(), name.str().c_str(), FNM_NOESCAPE) == 0)
      return {rule.action, rule.instances};
    // "enable foo@.service a b" speaks of foo@a.service too.
    if (!rule.instances.empty() && name.is_instance() &&
        rule.pattern == name.template_name().str() &&
        std::find(rule.instances.begin(), rule.instances.end(), name.instance()) !=
            rule.instances.end()) {
      return {rule.action, {}};
    }
  }
  return {};
}

}  // namespace pidward::unit
