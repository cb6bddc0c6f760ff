#include "runtime/resource_control.hpp"

#include <algorithm>
#include <charconv>
#include <limits>

#include <fmt/core.h>
#include <unistd.h>

#include "sys/fd.hpp"
#include "unit/value.hpp"

namespace pidward::runtime {
namespace {

using unit::Directive;
using unit::kNoLimit;
using unit::Settings;

/// "12.5%" in hundredths of a percent.
std::uint64_t hundredths(std::string_view share) {
  std::uint64_t whole = 0;
  const char* const last = share.data() + share.size();
  const char* at = std::from_chars(share.data(), last, whole).ptr;
  std::uint64_t value = whole * 100;
  std::uint64_t unit = 10;
  if (at != last && *at == '.') {
    for (++at; at != last && *at >= '0' && *at <= '9'; ++at, unit /= 10) {
      value += static_cast<std::uint64_t>(*at - '0') * unit;
    }
  }
  return value;
}

std::uint64_t number_in_file(const char* path) {
  const auto text = sys::read_file(path);
  std::uint64_t number = 0;
  if (text) std::from_chars(text->data(), text->data() + text->size(), number);
  return number;
}

/// "0-3,5": numbers in a row as a range.
std::string ranges_of(const std::vector<std::string>& numbers) {
  std::string text;
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  const auto close = [&] {
    text += text.empty() ? "" : ",";
    text += first == last ? fmt::format("{}", first) : fmt::format("{}-{}", first, last);
  };
  bool open = false;
  for (const std::string& each : numbers) {
    std::uint64_t number = 0;
    std::from_chars(each.data(), each.data() + each.size(), number);
    if (open && number == last + 1) {
      last = number;
      continue;
    }
    if (open) close();
    first = last = number;
    open = true;
  }
  if (open) close();
  return text;
}

std::string amount_text(std::uint64_t amount) {
  return amount == kNoLimit ? "max" : fmt::format("{}", amount);
}

/// How much of the processors in each period, as cpu.max has it.
std::string quota_text(const Settings& settings, const MachineSize& machine) {
  constexpr std::uint64_t kUsecInSec = 1'000'000;
  constexpr std::uint64_t kLeast = 1000;
  std::uint64_t period = kUsecInSec / 10;
  if (settings.is_set(Directive::CPUQuotaPeriodSec)) {
    const auto asked = std::chrono::duration_cast<std::chrono::microseconds>(
        settings.span(Directive::CPUQuotaPeriodSec));
    period =
        std::clamp<std::uint64_t>(static_cast<std::uint64_t>(asked.count()), kLeast, kUsecInSec);
  }
  const auto quota =
      resource_number(Directive::CPUQuota, settings.string(Directive::CPUQuota), machine);
  if (!quota) return fmt::format("max {}", period);
  return fmt::format("{} {}", std::max(*quota * period / kUsecInSec, kLeast), period);
}

struct AmountFile {
  Directive directive;
  std::string_view name;
  std::string_view controller;
  std::string_view by_default;
};
constexpr AmountFile kAmounts[] = {
    {Directive::MemoryMin, "memory.min", "memory", "0"},
    {Directive::MemoryLow, "memory.low", "memory", "0"},
    {Directive::MemoryHigh, "memory.high", "memory", "max"},
    {Directive::MemoryMax, "memory.max", "memory", "max"},
    {Directive::MemorySwapMax, "memory.swap.max", "memory", "max"},
    {Directive::MemoryZSwapMax, "memory.zswap.max", "memory", "max"},
    {Directive::TasksMax, "pids.max", "pids", "max"},
};
struct SetFile {
  Directive directive;
  std::string_view name;
};
constexpr SetFile kSets[] = {{Directive::AllowedCPUs, "cpuset.cpus"},
                             {Directive::AllowedMemoryNodes, "cpuset.mems"}};

}  // namespace

const MachineSize& machine_size() {
  static const MachineSize size = [] {
    MachineSize found;
    found.memory = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
                   static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    found.tasks = std::min(number_in_file("/proc/sys/kernel/pid_max"),
                           number_in_file("/proc/sys/kernel/threads-max"));
    return found;
  }();
  return size;
}

std::optional<std::uint64_t> resource_number(Directive directive, std::string_view text,
                                             const MachineSize& machine) {
  if (text.empty()) return std::nullopt;
  if (text == "infinity") return kNoLimit;
  if (text == "idle") return 0;
  if (text.ends_with('%')) {
    const std::uint64_t share = hundredths(text);
    if (directive == Directive::CPUQuota) return share * 100;
    const std::uint64_t whole = directive == Directive::TasksMax ? machine.tasks : machine.memory;
    constexpr std::uint64_t kAll = 10000;
    return whole / kAll * share + whole % kAll * share / kAll;
  }
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::vector<ControlFile> control_files(const Settings& settings, const MachineSize& machine) {
  std::vector<ControlFile> files;
  // A group that is idle has no weight: the one must be off before the other can be written.
  const std::string& weight = settings.string(Directive::CPUWeight);
  const bool idle = weight == "idle";
  files.push_back({"cpu.idle", "cpu", Directive::CPUWeight, idle, idle ? "1" : "0"});
  if (!idle) {
    files.push_back({"cpu.weight", "cpu", Directive::CPUWeight, !weight.empty(),
                     weight.empty() ? "100" : weight});
  }
  files.push_back(
      {"cpu.max", "cpu", Directive::CPUQuota,
       settings.is_set(Directive::CPUQuota) || settings.is_set(Directive::CPUQuotaPeriodSec),
       quota_text(settings, machine)});
  for (const AmountFile& each : kAmounts) {
    const auto amount = resource_number(each.directive, settings.string(each.directive), machine);
    files.push_back({each.name, each.controller, each.directive, amount.has_value(),
                     amount ? amount_text(*amount) : std::string(each.by_default)});
  }
  for (const SetFile& each : kSets) {
    const auto& numbers = settings.words(each.directive);
    files.push_back({each.name, "cpuset", each.directive, !numbers.empty(), ranges_of(numbers)});
  }
  return files;
}

bool limits_anything(const Settings& settings) {
  constexpr Directive kOthers[] = {Directive::CPUWeight, Directive::CPUQuota,
                                   Directive::CPUQuotaPeriodSec};
  const auto is_set = [&settings](Directive each) { return settings.is_set(each); };
  return std::ranges::any_of(kOthers, is_set) ||
         std::ranges::any_of(kAmounts, is_set, &AmountFile::directive) ||
         std::ranges::any_of(kSets, is_set, &SetFile::directive);
}

std::vector<std::string_view> wanted_controllers(const Settings& settings) {
  std::vector<std::string_view> wanted;
  const auto want = [&wanted](std::string_view controller, bool yes) {
    if (yes && std::ranges::find(wanted, controller) == wanted.end()) wanted.push_back(controller);
  };
  want("memory", settings.boolean(Directive::MemoryAccounting));
  want("pids", settings.boolean(Directive::TasksAccounting));
  want("cpu", settings.boolean(Directive::CPUAccounting));
  want("io", settings.boolean(Directive::IOAccounting));
  if (const auto delegated = delegated_controllers(settings)) {
    for (const std::string_view controller : *delegated) want(controller, true);
  }
  if (!limits_anything(settings)) return wanted;
  for (const ControlFile& file : control_files(settings, {})) want(file.controller, file.is_set);
  return wanted;
}

std::optional<std::vector<std::string_view>> delegated_controllers(const Settings& settings) {
  constexpr std::string_view kAll[] = {"cpu", "cpuset", "io", "memory", "pids"};
  if (!settings.delegates()) return std::nullopt;
  const auto& words = settings.words(Directive::Delegate);
  const bool is_all = words.size() == 1 && words.front() == "yes";
  std::vector<std::string_view> delegated;
  for (const std::string_view each : kAll) {
    if (is_all || std::ranges::find(words, each) != words.end()) delegated.push_back(each);
  }
  return delegated;
}

bool has_word(std::string_view list, std::string_view word) {
  for (std::size_t at = list.find(word); at != std::string_view::npos;
       at = list.find(word, at + 1)) {
    const auto is_edge = [&](std::size_t i) {
      return i >= list.size() || list[i] == ' ' || list[i] == '\n';
    };
    if ((at == 0 || is_edge(at - 1)) && is_edge(at + word.size())) return true;
  }
  return false;
}

}  // namespace pidward::runtime
