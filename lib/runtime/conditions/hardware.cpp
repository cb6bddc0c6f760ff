// Conditions about the machine: firmware, power, memory, processors, pressure.
#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>

#include <fmt/core.h>
#include <sched.h>
#include <unistd.h>

#include "runtime/conditions/check.hpp"
#include "runtime/conditions/words.hpp"
#include "runtime/posix_files.hpp"
#include "runtime/version.hpp"
#include "sys/fd.hpp"

namespace pidward::runtime::conditions {
namespace {

std::string line_of(const std::string& path) {
  const auto text = sys::read_file(path);
  return text ? text->substr(0, text->find_first_of(std::string_view("\n\0", 2))) : std::string();
}

// "name(argument)" → argument.
std::optional<std::string_view> argument_of(std::string_view text, std::string_view name) {
  if (!text.starts_with(name) || !text.ends_with(')')) return std::nullopt;
  text.remove_prefix(name.size());
  if (!text.starts_with('(')) return std::nullopt;
  return text.substr(1, text.size() - 2);
}

Result<bool> smbios_field_matches(std::string_view expression) {
  const std::size_t at = expression.find_first_of("<>=!$");
  if (at == std::string_view::npos) {
    return Error(Errc::invalid_argument, fmt::format("\"{}\" has no operator", expression));
  }
  std::string name(expression.substr(0, at));
  std::erase(name, ' ');
  std::string_view value = expression.substr(at);
  const bool text = value.starts_with('=') && !value.starts_with("==");
  const Comparison comparison = take_comparison(value);
  const std::vector<std::string> words = split_quoted(value);
  const std::string wanted = words.empty() ? std::string() : words.front();
  if (::access(("/sys/class/dmi/id/" + name).c_str(), F_OK) != 0) return false;
  const std::string found = line_of("/sys/class/dmi/id/" + name);
  return text ? found == wanted : version_matches(found, comparison, wanted);
}

Result<bool> firmware(const Question& question) {
  if (question.parameter == "uefi") return ::access("/sys/firmware/efi/", F_OK) == 0;
  if (question.parameter == "device-tree") {
    return ::access("/sys/firmware/devicetree/", F_OK) == 0;
  }
  if (const auto name = argument_of(question.parameter, "device-tree-compatible")) {
    std::string list = sys::read_file("/sys/firmware/devicetree/base/compatible").value_or("");
    std::ranges::replace(list, '\0', '\n');
    return std::ranges::any_of(split_lines(list), [&](const auto& word) { return word == *name; });
  }
  if (const auto field = argument_of(question.parameter, "smbios-field")) {
    return smbios_field_matches(*field);
  }
  return Error(Errc::invalid_argument,
               fmt::format("\"{}\" is not a kind of firmware", question.parameter));
}

// On mains power when some mains supply is on, or none is there and no battery is being emptied.
bool on_ac_power() {
  const std::string root = "/sys/class/power_supply";
  const auto supplies = PosixFileSource().list(root);
  bool mains_off = false;
  bool discharging = false;
  for (const std::string& name : supplies ? *supplies : std::vector<std::string>{}) {
    const std::string type = line_of(root + "/" + name + "/type");
    if (type == "Battery") {
      if (line_of(root + "/" + name + "/scope") == "Device") continue;
      discharging = discharging || line_of(root + "/" + name + "/status") == "Discharging";
    } else {
      const std::string online = line_of(root + "/" + name + "/online");
      if (online == "1") return true;
      mains_off = mains_off || online == "0";
    }
  }
  return !mains_off && !discharging;
}

Result<bool> ac_power(const Question& question) {
  const auto wanted = parse_boolean(question.parameter);
  if (!wanted) {
    return Error(Errc::invalid_argument,
                 fmt::format("\"{}\" is not a boolean", question.parameter));
  }
  return on_ac_power() == *wanted;
}

Result<bool> compare_number(std::string_view parameter, std::uint64_t value, bool with_unit) {
  Comparison comparison = take_comparison(parameter);
  if (comparison == Comparison::none) comparison = Comparison::greater_or_equal;
  std::optional<std::uint64_t> wanted = parse_size(parameter);
  if (!with_unit && parameter.find_first_not_of("0123456789") != std::string_view::npos) {
    wanted.reset();
  }
  if (!wanted) {
    return Error(Errc::invalid_argument, fmt::format("\"{}\" is not a number", parameter));
  }
  return holds(comparison, value < *wanted ? -1 : value > *wanted ? 1 : 0);
}

Result<bool> memory(const Question& question) {
  const auto pages = static_cast<std::uint64_t>(std::max(0L, ::sysconf(_SC_PHYS_PAGES)));
  const auto size = static_cast<std::uint64_t>(std::max(0L, ::sysconf(_SC_PAGESIZE)));
  return compare_number(question.parameter, pages * size, true);
}

Result<bool> cpus(const Question& question) {
  cpu_set_t set;
  CPU_ZERO(&set);
  const bool known = ::sched_getaffinity(0, sizeof set, &set) == 0;
  const long count = known ? CPU_COUNT(&set) : ::sysconf(_SC_NPROCESSORS_ONLN);
  return compare_number(question.parameter, static_cast<std::uint64_t>(std::max(1L, count)), false);
}

Result<bool> cpu_feature(const Question& question) {
  // systemd's word where the kernel's differs.
  std::string wanted(question.parameter);
  std::ranges::transform(wanted, wanted.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  if (wanted == "pclmul") wanted = "pclmulqdq";
  if (wanted == "fma3") wanted = "fma";
  if (wanted == "osxsave") wanted = "xsave";
  for (const std::string& line :
       split_lines(sys::read_file("/proc/cpuinfo", 4U << 20U).value_or(""))) {
    if (!line.starts_with("flags") && !line.starts_with("Features")) continue;
    const auto words = split_quoted(line);
    return std::ranges::find(words, wanted) != words.end();
  }
  return false;
}

struct PressureLimit {
  std::string slice;
  double threshold = 0;
  std::string_view average = "avg300=";
};

// "[SLICE:]THRESHOLD%[/TIMESPAN]".
std::optional<PressureLimit> parse_pressure(std::string_view text) {
  PressureLimit limit;
  if (const auto colon = text.find(':'); colon != std::string_view::npos) {
    limit.slice = text.substr(0, colon);
    text.remove_prefix(colon + 1);
  }
  if (const auto slash = text.find('/'); slash != std::string_view::npos) {
    const std::string_view span = text.substr(slash + 1);
    text = text.substr(0, slash);
    if (span == "10sec" || span == "10s") {
      limit.average = "avg10=";
    } else if (span == "1min" || span == "1m") {
      limit.average = "avg60=";
    } else if (span != "5min" && span != "5m") {
      return std::nullopt;
    }
  }
  if (!text.ends_with('%')) return std::nullopt;
  text.remove_suffix(1);
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), limit.threshold);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return limit;
}

// "a-b.slice" is a.slice/a-b.slice.
std::string slice_group(std::string_view slice) {
  std::string path;
  const std::string_view stem = slice.substr(0, slice.rfind(".slice"));
  if (stem == "-") return path;
  for (std::size_t dash = stem.find('-');; dash = stem.find('-', dash + 1)) {
    path += fmt::format("/{}.slice", stem.substr(0, dash));
    if (dash == std::string_view::npos) return path;
  }
}

// Met while pressure is at most the threshold, and where the system does not measure it.
Result<bool> pressure(const Question& question, std::string_view resource, std::string_view kind) {
  const auto limit = parse_pressure(question.parameter);
  if (!limit) {
    return Error(
        Errc::invalid_argument,
        fmt::format("\"{}\" is not [SLICE:]PERCENT%[/10sec|1min|5min]", question.parameter));
  }
  std::string file = fmt::format("/proc/pressure/{}", resource);
  if (!limit->slice.empty()) {
    if (question.context.control_group_directory.empty()) return true;
    file = fmt::format("{}{}/{}.pressure", question.context.control_group_directory,
                       slice_group(limit->slice), resource);
  }
  for (const std::string& line : split_lines(sys::read_file(file).value_or(""))) {
    if (!line.starts_with(kind)) continue;
    const std::size_t at = line.find(limit->average);
    if (at == std::string::npos) break;
    return std::strtod(line.c_str() + at + limit->average.size(), nullptr) <= limit->threshold;
  }
  return true;
}

Result<bool> memory_pressure(const Question& question) {
  return pressure(question, "memory", "full");
}
Result<bool> cpu_pressure(const Question& question) {
  return pressure(question, "cpu", "some");
}
Result<bool> io_pressure(const Question& question) {
  return pressure(question, "io", "full");
}

constexpr std::array kHardwareKinds{
    Kind{"Firmware", firmware},
    Kind{"ACPower", ac_power},
    Kind{"Memory", memory},
    Kind{"CPUs", cpus},
    Kind{"CPUFeature", cpu_feature},
    Kind{"MemoryPressure", memory_pressure},
    Kind{"CPUPressure", cpu_pressure},
    Kind{"IOPressure", io_pressure},
};

}  // namespace

std::span<const Kind> hardware_kinds() {
  return kHardwareKinds;
}

}  // namespace pidward::runtime::conditions
