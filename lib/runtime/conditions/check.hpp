// The table of condition kinds: one function each.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "runtime/conditions/conditions.hpp"

namespace pidward::runtime::conditions {

struct Question {
  std::string_view parameter;
  const ConditionContext& context;
  [[nodiscard]] std::string path() const { return std::string(parameter); }
};
using Check = Result<bool> (*)(const Question& question);
struct Kind {
  std::string_view name;
  Check check;
};

std::span<const Kind> path_kinds();
std::span<const Kind> system_kinds();
std::span<const Kind> hardware_kinds();
std::span<const Kind> identity_kinds();

}  // namespace pidward::runtime::conditions
