#include <algorithm>

#include "base/contract.hpp"
#include "unit/spec.hpp"

namespace pidward::unit {
namespace {

auto position(const std::vector<std::pair<Directive, Value>>& entries, Directive id) {
  return std::lower_bound(entries.begin(), entries.end(), id,
                          [](const auto& entry, Directive wanted) { return entry.first < wanted; });
}

/// The value as T, or T's zero when there is none. Asking for another type than the row's syntax
/// gives is a bug.
template <typename T>
const T& typed(const Value* value) {
  static const T zero{};
  if (value == nullptr) return zero;
  const T* const held = std::get_if<T>(value);
  PIDWARD_EXPECT(held != nullptr);
  return *held;
}

}  // namespace

void Settings::set(Directive id, Value value) {
  const auto at = position(entries_, id);
  if (at != entries_.end() && at->first == id) {
    entries_[static_cast<std::size_t>(at - entries_.begin())].second = std::move(value);
  } else {
    entries_.emplace(at, id, std::move(value));
  }
}

void Settings::unset(Directive id) {
  const auto at = position(entries_, id);
  if (at != entries_.end() && at->first == id) entries_.erase(at);
}

const Value* Settings::find(Directive id) const {
  const auto at = position(entries_, id);
  return at != entries_.end() && at->first == id ? &at->second : nullptr;
}

const Value* Settings::get(Directive id) const {
  const Value* const own = find(id);
  return own != nullptr ? own : default_value(id);
}

bool Settings::boolean(Directive id) const {
  return typed<bool>(get(id));
}
std::int64_t Settings::integer(Directive id) const {
  return typed<std::int64_t>(get(id));
}
std::uint64_t Settings::number(Directive id) const {
  return typed<std::uint64_t>(get(id));
}
Duration Settings::span(Directive id) const {
  return typed<Duration>(get(id));
}
const std::string& Settings::string(Directive id) const {
  return typed<std::string>(get(id));
}
const std::vector<std::string>& Settings::words(Directive id) const {
  return typed<std::vector<std::string>>(get(id));
}
const ExecList& Settings::commands(Directive id) const {
  return typed<ExecList>(get(id));
}
const ConditionList& Settings::conditions() const {
  return typed<ConditionList>(get(kConditionStore));
}
const ExitStatusSet& Settings::exit_statuses(Directive id) const {
  static const ExitStatusSet kNone;
  const Value* const value = get(id);
  if (value == nullptr) return kNone;
  const auto* const held = boxed<ExitStatusSet>(*value);
  PIDWARD_EXPECT(held != nullptr);
  return *held;
}

const StreamTarget* Settings::stream(Directive id) const {
  const Value* const value = get(id);
  return value == nullptr ? nullptr : boxed<StreamTarget>(*value);
}

bool Settings::goes_to_log(Directive stream) const {
  const StreamTarget* const target = this->stream(stream);
  if (target == nullptr) return false;
  switch (static_cast<StandardOutput>(target->kind)) {
    case StandardOutput::journal:
    case StandardOutput::journal_console:
    case StandardOutput::kmsg:
    case StandardOutput::kmsg_console:
      return true;
    case StandardOutput::inherit:
    case StandardOutput::null:
    case StandardOutput::tty:
    case StandardOutput::file:
    case StandardOutput::append:
    case StandardOutput::truncate:
    case StandardOutput::socket:
    case StandardOutput::fd:
      return false;
  }
  return false;
}

bool Settings::delegates() const {
  const auto& words = this->words(Directive::Delegate);
  return words.size() != 1 || words.front() != "no";
}

bool Settings::preserves(Directive id, bool restarting) const {
  switch (choice<PreserveMode>(id)) {
    case PreserveMode::yes:
      return true;
    case PreserveMode::restart:
      return restarting;
    case PreserveMode::no:
      return false;
  }
  return false;
}

}  // namespace pidward::unit
