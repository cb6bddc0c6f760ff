#include "bus/services.hpp"

namespace pidward::bus {

// Unique names of a broker begin with a colon; ours for private connections do not.
namespace {
bool is_broker_client(const std::string& client) {
  return !client.empty() && client[0] == ':';
}
}  // namespace

bool Clients::broker_listens() const {
  return !subscribers_.empty() && is_broker_client(*subscribers_.begin());
}

void Clients::add_reference(const std::string& client, UnitId unit) {
  auto& holders = references_[unit];
  if (holders.empty()) manager_.set_referenced(unit, true);
  ++holders[client];
}

bool Clients::drop_reference(const std::string& client, UnitId unit) {
  const auto found = references_.find(unit);
  if (found == references_.end()) return false;
  const auto holder = found->second.find(client);
  if (holder == found->second.end()) return false;
  if (--holder->second == 0) found->second.erase(holder);
  if (found->second.empty()) {
    references_.erase(found);
    manager_.set_referenced(unit, false);
  }
  return true;
}

std::vector<std::string> Clients::holders(UnitId unit) const {
  std::vector<std::string> out;
  const auto found = references_.find(unit);
  if (found == references_.end()) return out;
  for (const auto& [client, count] : found->second) out.push_back(client);
  return out;
}

bool Clients::keep_process(const std::string& client, const process::ProcessHandle& process,
                           std::size_t limit) {
  auto& kept = processes_[client];
  if (kept.size() >= limit && kept.count(process->id()) == 0) return false;
  kept.insert_or_assign(process->id(), process);
  return true;
}

std::uint64_t Clients::begin_wait(const std::string& client) {
  waits_[client][next_wait_] = nullptr;
  return next_wait_++;
}

void Clients::keep_wait(const std::string& client, std::uint64_t wait, runtime::WaitTicket ticket) {
  const auto of_client = waits_.find(client);
  if (of_client == waits_.end()) return;
  const auto found = of_client->second.find(wait);
  if (found != of_client->second.end()) found->second = std::move(ticket);
}

void Clients::end_wait(const std::string& client, std::uint64_t wait) {
  const auto of_client = waits_.find(client);
  if (of_client == waits_.end()) return;
  // The ticket goes last: what it lets go of may call us.
  const auto over = of_client->second.extract(wait);
  if (of_client->second.empty()) waits_.erase(of_client);
}

void Clients::forget_client(const std::string& client) {
  subscribers_.erase(client);
  const auto waits = waits_.extract(client);
  processes_.erase(client);
  std::vector<UnitId> freed;
  for (auto& [unit, holders] : references_) {
    if (holders.erase(client) > 0 && holders.empty()) freed.push_back(unit);
  }
  for (const UnitId unit : freed) {
    references_.erase(unit);
    manager_.set_referenced(unit, false);
  }
}

void Clients::forget_broker_clients() {
  std::set<std::string> gone;
  for (const std::string& client : subscribers_) {
    if (is_broker_client(client)) gone.insert(client);
  }
  for (const auto& [unit, holders] : references_) {
    for (const auto& [client, count] : holders) {
      if (is_broker_client(client)) gone.insert(client);
    }
  }
  for (const auto& [client, kept] : processes_) {
    if (is_broker_client(client)) gone.insert(client);
  }
  for (const auto& [client, kept] : waits_) {
    if (is_broker_client(client)) gone.insert(client);
  }
  for (const std::string& client : gone) forget_client(client);
}

}  // namespace pidward::bus
