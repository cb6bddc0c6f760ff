// Object paths and what they name.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/ids.hpp"
#include "base/result.hpp"

namespace pidward::bus {

inline constexpr const char* kBusName = "org.pidward1";
inline constexpr const char* kManagerPath = "/org/pidward1";
inline constexpr const char* kManagerInterface = "org.pidward1.Manager";
inline constexpr const char* kUnitInterface = "org.pidward1.Unit";
inline constexpr const char* kScopeInterface = "org.pidward1.Scope";
inline constexpr const char* kJobInterface = "org.pidward1.Job";
inline constexpr const char* kProcessInterface = "org.pidward1.Process";

/// "/org/pidward1/unit/nginx_2eservice": every byte outside [A-Za-z0-9], and a leading digit, is
/// _xx.
std::string unit_path(std::string_view name);
/// "/org/pidward1/job/7"; "/" for none.
std::string job_path(JobId job);
/// "/org/pidward1/process/4711", by inode; "/" for none.
std::string process_path(ProcessId process);
/// One escaped path element and back. An element that was not escaped so yields nothing.
std::string escape_element(std::string_view text);
std::optional<std::string> unescape_element(std::string_view element);

struct ObjectName {
  enum class Kind : std::uint8_t {
    ancestor,
    manager,
    units,
    unit,
    jobs,
    job,
    processes,
    process,
    unknown
  };
  Kind kind = Kind::unknown;
  std::string unit;  ///< the text after unit/, unescaped: a unit name, "self" or an invocation ID
  JobId job;
  ProcessId process;
};
/// Which object `path` means. Nothing is looked up.
ObjectName parse_object_path(std::string_view path);

}  // namespace pidward::bus
