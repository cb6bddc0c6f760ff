#include "engine/trigger_limit.hpp"

#include <algorithm>

namespace pidward::engine {

using unit::Directive;

Duration trigger_interval(const unit::UnitSpec& spec) {
  constexpr Duration kUsual = std::chrono::seconds(2);
  return spec.settings.is_set(Directive::TriggerLimitIntervalSec)
             ? spec.settings.span(Directive::TriggerLimitIntervalSec)
             : kUsual;
}

std::uint32_t trigger_burst(const unit::UnitSpec& spec) {
  constexpr std::uint32_t kForOneService = 20;
  constexpr std::uint32_t kForMany = 200;
  if (spec.settings.is_set(Directive::TriggerLimitBurst)) {
    return static_cast<std::uint32_t>(
        std::min<std::uint64_t>(spec.settings.number(Directive::TriggerLimitBurst), UINT32_MAX));
  }
  const bool is_for_one =
      spec.name.type() == unit::UnitType::socket && !spec.settings.boolean(Directive::Accept);
  return is_for_one ? kForOneService : kForMany;
}

}  // namespace pidward::engine
