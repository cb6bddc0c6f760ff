#include "runtime/unit_resources.hpp"

#include <charconv>

namespace pidward::runtime {
namespace {

std::optional<std::uint64_t> number_at(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  return number;
}

std::optional<std::uint64_t> number_in(const sys::CgroupDir& group, const char* file) {
  const auto text = group.read(file);
  return text ? number_at(*text) : std::nullopt;
}

/// Takes the next line off `text`.
std::string_view take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

}  // namespace

std::optional<std::uint64_t> flat_value(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    if (line.size() > key.size() && line.starts_with(key) && line[key.size()] == ' ') {
      return number_at(line.substr(key.size() + 1));
    }
  }
  return std::nullopt;
}

std::optional<std::uint64_t> io_value(std::string_view text, std::string_view key) {
  std::optional<std::uint64_t> sum;
  while (!text.empty()) {
    std::string_view line = take_line(text);
    // "8:0 rbytes=1 wbytes=2 …"
    while (!line.empty()) {
      const std::size_t end = line.find(' ');
      const std::string_view word = line.substr(0, end);
      line.remove_prefix(end == std::string_view::npos ? line.size() : end + 1);
      if (word.size() <= key.size() || !word.starts_with(key) || word[key.size()] != '=') continue;
      if (const auto number = number_at(word.substr(key.size() + 1))) {
        sum = sum.value_or(0) + *number;
      }
    }
  }
  return sum;
}

ResourceCounters read_counters(const sys::CgroupDir& group) {
  constexpr std::uint64_t kNsecInUsec = 1000;
  ResourceCounters counters;
  counters.memory = number_in(group, "memory.current");
  counters.tasks = number_in(group, "pids.current");
  if (const auto text = group.read("cpu.stat")) {
    if (const auto usec = flat_value(*text, "usage_usec")) counters.cpu_nsec = *usec * kNsecInUsec;
  }
  if (const auto text = group.read("io.stat")) {
    counters.io_read_bytes = io_value(*text, "rbytes");
    counters.io_write_bytes = io_value(*text, "wbytes");
    counters.io_reads = io_value(*text, "rios");
    counters.io_writes = io_value(*text, "wios");
  }
  return counters;
}

std::string_view to_string(FreezerState state) {
  switch (state) {
    case FreezerState::running:
      return "running";
    case FreezerState::freezing:
      return "freezing";
    case FreezerState::frozen:
      return "frozen";
    case FreezerState::thawing:
      return "thawing";
  }
  return "running";
}

}  // namespace pidward::runtime
