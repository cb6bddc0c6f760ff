#include "bus/objects/job_words.hpp"

namespace pidward::bus {

std::optional<unit::JobMode> parse_job_mode(std::string_view text) {
  for (std::size_t i = 0; i < unit::kJobModeNames.size(); ++i) {
    if (unit::kJobModeNames[i] == text) return static_cast<unit::JobMode>(i);
  }
  return std::nullopt;
}

std::optional<JobWord> parse_job_type(std::string_view text) {
  using engine::JobType;
  if (text == "start") return JobWord{.type = JobType::start};
  if (text == "stop") return JobWord{.type = JobType::stop};
  if (text == "reload") return JobWord{.type = JobType::reload};
  if (text == "restart") return JobWord{.type = JobType::restart};
  if (text == "try-restart") return JobWord{.type = JobType::try_restart};
  if (text == "try-reload") return JobWord{.type = JobType::try_reload};
  if (text == "verify-active") return JobWord{.type = JobType::verify_active};
  if (text == "nop") return JobWord{.type = JobType::nop};
  if (text == "reload-or-start") return JobWord{.type = JobType::reload_or_start};
  if (text == "reload-or-restart") return JobWord{.type = JobType::restart, .reload = true};
  if (text == "reload-or-try-restart") return JobWord{.type = JobType::try_restart, .reload = true};
  return std::nullopt;
}

}  // namespace pidward::bus
