#include "runtime/conditions/conditions.hpp"

#include <fmt/core.h>

#include "runtime/conditions/check.hpp"

namespace pidward::runtime {
namespace {

const conditions::Kind* find_kind(std::string_view name) {
  for (const auto kinds : {conditions::path_kinds(), conditions::system_kinds(),
                           conditions::hardware_kinds(), conditions::identity_kinds()}) {
    for (const conditions::Kind& kind : kinds) {
      if (kind.name == name) return &kind;
    }
  }
  return nullptr;
}

// One of the two families: conditions or asserts.
struct Family {
  bool plain_ok = true;
  bool has_trigger = false;
  bool trigger_ok = false;
  std::string failed_plain;
  std::string failed_trigger;

  [[nodiscard]] bool ok() const { return plain_ok && (!has_trigger || trigger_ok); }
  [[nodiscard]] const std::string& failed() const {
    return plain_ok ? failed_trigger : failed_plain;
  }
  void add(const unit::Condition& condition, bool met) {
    if (condition.trigger) {
      has_trigger = true;
      trigger_ok = trigger_ok || met;
      if (!met && failed_trigger.empty()) failed_trigger = format_condition(condition);
    } else if (!met) {
      plain_ok = false;
      if (failed_plain.empty()) failed_plain = format_condition(condition);
    }
  }
};

}  // namespace

std::string format_condition(const unit::Condition& condition) {
  return fmt::format("{}{}={}{}{}", condition.is_assert ? "Assert" : "Condition", condition.kind,
                     condition.trigger ? "|" : "", condition.negate ? "!" : "",
                     condition.parameter);
}

Result<bool> check_condition(const unit::Condition& condition, const ConditionContext& context) {
  const conditions::Kind* kind = find_kind(condition.kind);
  if (kind == nullptr) {
    return Error(Errc::not_supported,
                 fmt::format("Conditions of the kind {} are not known here", condition.kind));
  }
  return kind->check({condition.parameter, context});
}

ConditionOutcome check_conditions(const unit::ConditionList& list,
                                  const ConditionContext& context) {
  ConditionOutcome outcome;
  Family conditions;
  Family asserts;
  for (const unit::Condition& condition : list) {
    auto answer = check_condition(condition, context);
    if (!answer) {
      outcome.complaints.push_back(fmt::format("{} cannot be checked and counts as not met: {}",
                                               format_condition(condition),
                                               answer.error().to_string()));
    }
    const bool met = answer && *answer != condition.negate;
    (condition.is_assert ? asserts : conditions).add(condition, met);
  }
  outcome.conditions_ok = conditions.ok();
  outcome.asserts_ok = asserts.ok();
  if (!conditions.ok()) {
    outcome.failed = conditions.failed();
  } else if (!asserts.ok()) {
    outcome.failed = asserts.failed();
  }
  return outcome;
}

}  // namespace pidward::runtime
