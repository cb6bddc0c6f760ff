// What became of the things a verb was asked for, as programs read it.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "base/error.hpp"

namespace pidward::ctl {

/// Prints one line of JSON to standard output.
void say_json(const nlohmann::json& value);
/// {"error": sentence, "kind": "no-such-unit"}.
nlohmann::json error_json(const Error& error);
/// {"name": name, "result": "failed", "error": sentence, "kind": …}.
nlohmann::json failed_outcome(const std::string& name, const Error& error);
/// Adds how a process ended: "code" (exited, killed, dumped or unknown), "status" (its exit code,
/// or the number of the signal) and "exit" (what a command that ended so makes of our exit code).
void add_process_end(nlohmann::json& object, std::uint64_t code, int status);

}  // namespace pidward::ctl
