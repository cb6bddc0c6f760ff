#include "bus/object_path.hpp"

#include <charconv>

namespace pidward::bus {
namespace {

bool is_plain(char c, bool first) {
  const bool digit = c >= '0' && c <= '9';
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (digit && !first);
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

constexpr std::string_view kUnits = "/org/pidward1/unit";
constexpr std::string_view kJobs = "/org/pidward1/job";
constexpr std::string_view kProcesses = "/org/pidward1/process";

/// The element behind `prefix` + '/', if that is what `path` is.
std::optional<std::string_view> child_of(std::string_view path, std::string_view prefix) {
  if (path.size() <= prefix.size() + 1 || path.substr(0, prefix.size()) != prefix ||
      path[prefix.size()] != '/') {
    return std::nullopt;
  }
  const std::string_view element = path.substr(prefix.size() + 1);
  if (element.find('/') != std::string_view::npos) return std::nullopt;
  return element;
}

/// A decimal number other than 0, and nothing else.
template <typename Number>
Number parse_number(std::string_view text) {
  Number number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && rest == end ? number : 0;
}

}  // namespace

std::string escape_element(std::string_view text) {
  if (text.empty()) return "_";
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  out.reserve(text.size() + 8);
  for (const char c : text) {
    if (is_plain(c, out.empty())) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += '_';
      out += kHex[byte >> 4U];
      out += kHex[byte & 15U];
    }
  }
  return out;
}

std::optional<std::string> unescape_element(std::string_view element) {
  if (element == "_") return std::string();
  std::string out;
  for (std::size_t i = 0; i < element.size(); ++i) {
    if (element[i] != '_') {
      out += element[i];
      continue;
    }
    if (i + 2 >= element.size()) return std::nullopt;
    const int high = hex_value(element[i + 1]);
    const int low = hex_value(element[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

std::string unit_path(std::string_view name) {
  return std::string(kUnits) + "/" + escape_element(name);
}

std::string job_path(JobId job) {
  return job ? std::string(kJobs) + "/" + std::to_string(job.number()) : "/";
}

std::string process_path(ProcessId process) {
  return process ? std::string(kProcesses) + "/" + std::to_string(process.number()) : "/";
}

ObjectName parse_object_path(std::string_view path) {
  using Kind = ObjectName::Kind;
  if (path == "/" || path == "/org") return {.kind = Kind::ancestor};
  if (path == kManagerPath) return {.kind = Kind::manager};
  if (path == kUnits) return {.kind = Kind::units};
  if (path == kJobs) return {.kind = Kind::jobs};
  if (path == kProcesses) return {.kind = Kind::processes};
  if (const auto element = child_of(path, kUnits)) {
    const auto name = unescape_element(*element);
    if (!name) return {};
    return {.kind = Kind::unit, .unit = *name, .job = {}, .process = {}};
  }
  if (const auto element = child_of(path, kJobs)) {
    const JobId job(parse_number<std::uint32_t>(*element));
    if (job) return {.kind = Kind::job, .unit = {}, .job = job, .process = {}};
  }
  if (const auto element = child_of(path, kProcesses)) {
    const ProcessId process(parse_number<std::uint64_t>(*element));
    if (process) return {.kind = Kind::process, .unit = {}, .job = {}, .process = process};
  }
  return {};
}

}  // namespace pidward::bus
