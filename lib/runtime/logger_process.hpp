// Making the logger's process.
#pragma once

#include <string>

#include "runtime/logger.hpp"
#include "sys/clone.hpp"

namespace pidward::runtime {

/// Runs `program --logger DIRECTORY MAX_BYTES MAX_FILES` with `control` as its descriptor 3 and
/// /dev/null as its standard input and output.
Result<sys::Child> spawn_logger(const std::string& program, int control,
                                const LoggerSettings& settings);

}  // namespace pidward::runtime
