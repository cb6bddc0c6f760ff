#include "runtime/process_waits.hpp"

#include <algorithm>
#include <utility>

#include <boost/asio/post.hpp>
#include <fmt/core.h>

#include "runtime/reopen.hpp"

namespace pidward::runtime {
namespace {

constexpr std::string_view kBinding = "binding ";

}  // namespace

struct ProcessWaits::Wait {
  process::ProcessHandle process;
  Done done;
};

WaitTicket ProcessWaits::add(const process::ProcessHandle& process, Done done) {
  auto wait = std::make_shared<Wait>(Wait{process, std::move(done)});
  const Status watched = tracker_.observe(process);
  if (!watched || !tracker_.is_awaited(process->id())) {
    boost::asio::post(core_.io, [waiting = std::weak_ptr<Wait>(wait)] { answer(waiting); });
    return wait;
  }
  std::vector<std::weak_ptr<Wait>>& list = waits_[process->id()];
  std::erase_if(list, [](const auto& waiting) { return waiting.expired(); });
  list.push_back(wait);
  return wait;
}

void ProcessWaits::ended(ProcessId process) {
  const auto found = waits_.find(process);
  if (found == waits_.end()) return;
  const auto list = std::move(found->second);
  waits_.erase(found);
  // Not from here: the callers are in the middle of what the end of the process means to its unit.
  for (const std::weak_ptr<Wait>& waiting : list) {
    boost::asio::post(core_.io, [waiting] { answer(waiting); });
  }
}

void ProcessWaits::answer(const std::weak_ptr<Wait>& waiting) {
  const std::shared_ptr<Wait> wait = waiting.lock();
  if (!wait) return;
  const Done done = std::move(wait->done);
  if (done) done(wait->process->exit_status().value_or(ExitStatus{}));
}

void Bindings::bind(UnitId unit, const process::ProcessHandle& process) {
  std::vector<Binding>& bindings = bound_[unit];
  const bool known = std::ranges::any_of(
      bindings, [&process](const Binding& binding) { return binding.process == process; });
  if (known) return;
  WaitTicket wait = waits_.add(process, [this, unit, id = process->id()](ExitStatus) {
    const auto found = bound_.find(unit);
    if (found == bound_.end()) return;
    const auto bound = std::ranges::find_if(
        found->second, [id](const Binding& binding) { return binding.process->id() == id; });
    if (bound == found->second.end()) return;
    const Binding over = std::move(*bound);
    found->second.erase(bound);
    keeper_.remove_entry(over.key);
    if (ended_) ended_(unit, *over.process);
  });
  std::string key =
      fmt::format("{}{} {}", kBinding, core_.engine.spec(unit)->name.str(), process->id().number());
  keeper_.set(key, format_process(keeper_.describe(process, process->unit(), process->role(), {})));
  keeper_.flush();
  bindings.push_back({process, std::move(wait), std::move(key)});
}

void Bindings::forget(UnitId unit) {
  const auto found = bound_.extract(unit);
  if (found.empty()) return;
  for (const Binding& binding : found.mapped()) keeper_.remove_entry(binding.key);
}

std::vector<std::pair<UnitId, pid_t>> Bindings::recover(const StateEntries& entries) {
  std::vector<std::pair<UnitId, pid_t>> over;
  for (auto at = entries.lower_bound(kBinding); at != entries.end(); ++at) {
    std::string_view key = at->first;
    if (!key.starts_with(kBinding)) break;
    key.remove_prefix(kBinding.size());
    const std::size_t space = std::min(key.find(' '), key.size());
    const auto name = unit::UnitName::parse(key.substr(0, space));
    const auto unit = name ? core_.engine.find(*name) : std::nullopt;
    const auto record = parse_process(fmt::format("process{}", key.substr(space)), at->second);
    if (!unit || !record) continue;
    process::ProcessHandle handle = core_.table.find(record->id);
    if (!handle) {
      auto process = reopen(*record, core_.features, std::nullopt);
      if (process) {
        if (auto opened = core_.table.open(*std::move(process))) handle = *std::move(opened);
      }
    }
    if (handle) {
      bind(*unit, handle);
    } else {
      over.emplace_back(*unit, record->pid);
    }
  }
  return over;
}

std::vector<ProcessId> Bindings::of(UnitId unit) const {
  std::vector<ProcessId> result;
  const auto found = bound_.find(unit);
  if (found == bound_.end()) return result;
  for (const Binding& binding : found->second) result.push_back(binding.process->id());
  return result;
}

}  // namespace pidward::runtime
