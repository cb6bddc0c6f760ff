// Conditions about the system as installed and booted.
#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>

#include <fmt/core.h>
#include <fnmatch.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "runtime/conditions/check.hpp"
#include "runtime/conditions/words.hpp"
#include "runtime/system_facts.hpp"
#include "runtime/version.hpp"
#include "sys/fd.hpp"

namespace pidward::runtime::conditions {
namespace {

Error not_understood(std::string_view parameter, std::string_view expected) {
  return Error(Errc::invalid_argument,
               fmt::format("\"{}\" is not understood; {} is expected", parameter, expected));
}

Result<bool> first_boot(const Question& question) {
  const auto wanted = parse_boolean(question.parameter);
  if (!wanted) return not_understood(question.parameter, "a boolean");
  constexpr std::string_view kKey = "systemd.condition-first-boot=";
  for (const std::string& word : kernel_command_line()) {
    if (!word.starts_with(kKey)) continue;
    if (const auto forced = parse_boolean(std::string_view(word).substr(kKey.size()))) {
      return *forced == *wanted;
    }
  }
  return (::access("/run/systemd/first-boot", F_OK) == 0) == *wanted;
}

Result<bool> architecture(const Question& question) {
  utsname names{};
  if (::uname(&names) != 0) return false;
  if (question.parameter == "native") return true;
  return question.parameter == architecture_name(names.machine);
}

Result<bool> is_virtualized(const Question& question) {
  const Virtualization& found = virtualization();
  if (const auto wanted = parse_boolean(question.parameter)) {
    return *wanted == !(found.vm.empty() && found.container.empty());
  }
  if (question.parameter == "vm") return found.container.empty() && !found.vm.empty();
  if (question.parameter == "container") return !found.container.empty();
  if (question.parameter == "private-users") return found.private_users;
  // In a container inside a virtual machine the container is what counts, as in systemd.
  return question.parameter == (found.container.empty() ? found.vm : found.container);
}

Result<bool> host(const Question& question) {
  const std::string pattern = question.path();
  if (const std::string id = machine_id(); !id.empty()) {
    std::string undashed = pattern;
    std::erase(undashed, '-');
    if (undashed == id) return true;
  }
  return ::fnmatch(pattern.c_str(), host_name().c_str(), FNM_CASEFOLD) == 0;
}

Result<bool> command_line(const Question& question) {
  const bool exact = question.parameter.find('=') != std::string_view::npos;
  return std::ranges::any_of(kernel_command_line(), [&](const std::string& word) {
    if (exact) return word == question.parameter;
    return std::string_view(word).substr(0, word.find('=')) == question.parameter;
  });
}

Result<bool> kernel_version(const Question& question) {
  utsname names{};
  if (::uname(&names) != 0) return false;
  const std::vector<std::string> words = split_quoted(question.parameter);
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::string_view word = words[i];
    const Comparison comparison = take_comparison(word);
    // "< 6" in two words is one comparison.
    if (comparison != Comparison::none && word.empty() && i + 1 < words.size()) word = words[++i];
    if (!version_matches(names.release, comparison, word)) return false;
  }
  return !words.empty();
}

Result<bool> os_release(const Question& question) {
  const auto release = read_os_release();
  const std::vector<std::string> words = split_quoted(question.parameter);
  for (const std::string& word : words) {
    const std::size_t at = word.find_first_of("<>=!$");
    if (at == 0 || at == std::string::npos) return not_understood(word, "FIELD=VALUE");
    std::string_view rest = std::string_view(word).substr(at);
    const Comparison comparison = take_comparison(rest);
    if (comparison == Comparison::none) return not_understood(word, "FIELD=VALUE");
    const auto field = release.find(word.substr(0, at));
    const std::string_view value = field == release.end() ? std::string_view{} : field->second;
    // One '=' compares text, every other operator versions.
    const bool text = word[at] == '=' && (at + 1 == word.size() || word[at + 1] != '=');
    if (text ? value != rest : !version_matches(value, comparison, rest)) return false;
  }
  return !words.empty();
}

Result<bool> credential(const Question& question) {
  if (question.parameter.empty() || question.parameter.find('/') != std::string_view::npos) {
    return not_understood(question.parameter, "the name of a credential");
  }
  for (const char* variable : {"CREDENTIALS_DIRECTORY", "ENCRYPTED_CREDENTIALS_DIRECTORY"}) {
    const char* directory = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe)
    if (directory == nullptr) continue;
    if (::access(fmt::format("{}/{}", directory, question.parameter).c_str(), F_OK) == 0) {
      return true;
    }
  }
  return false;
}

Result<bool> environment(const Question& question) {
  const bool exact = question.parameter.find('=') != std::string_view::npos;
  return std::ranges::any_of(question.context.environment, [&](const std::string& entry) {
    return exact ? entry == question.parameter
                 : std::string_view(entry).substr(0, entry.find('=')) == question.parameter;
  });
}

Result<bool> control_group_controller(const Question& question) {
  const ConditionContext& context = question.context;
  if (question.parameter == "v2") return context.unified_control_groups;
  if (question.parameter == "v1") return !context.unified_control_groups;
  std::vector<std::string> available;
  if (!context.control_group_directory.empty()) {
    auto text = sys::read_file(context.control_group_directory + "/cgroup.controllers");
    if (text) available = split_quoted(*text);
  }
  if (!context.unified_control_groups) {
    // Version 1 controllers that are enabled: first column, where the last is 1.
    for (const std::string& line : split_lines(sys::read_file("/proc/cgroups").value_or(""))) {
      const auto fields = split_quoted(line);
      if (fields.size() == 4 && fields[3] == "1") available.push_back(fields[0]);
    }
  }
  // Others are ignored (systemd.unit(5)).
  constexpr std::array<std::string_view, 10> kKnown{
      "cpu",  "cpuacct", "cpuset",       "io",          "blkio",
      "pids", "memory",  "bpf-firewall", "bpf-devices", "devices"};
  const auto wanted = split_quoted(question.parameter);
  return std::ranges::all_of(wanted, [&](const std::string& name) {
    return std::ranges::find(kKnown, name) == kKnown.end() ||
           std::ranges::find(available, name) != available.end();
  });
}

constexpr std::array kSystemKinds{
    Kind{"FirstBoot", first_boot},
    Kind{"Architecture", architecture},
    Kind{"Virtualization", is_virtualized},
    Kind{"Host", host},
    Kind{"KernelCommandLine", command_line},
    Kind{"KernelVersion", kernel_version},
    Kind{"OSRelease", os_release},
    Kind{"Credential", credential},
    Kind{"Environment", environment},
    Kind{"ControlGroupController", control_group_controller},
};

}  // namespace

std::span<const Kind> system_kinds() {
  return kSystemKinds;
}

}  // namespace pidward::runtime::conditions
