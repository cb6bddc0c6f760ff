// A scripted day of the daemon's, during which it is killed, or an allocation of it fails, at every
// point of every deed in turn; the next daemon takes over, and the world is compared with one where
// nothing happened.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bus/client/client.hpp"
#include "crash/keeper.hpp"
#include "support/temporary_directory.hpp"
#include "sys/clone.hpp"
#include "sys/fd.hpp"

namespace pidward::test {

/// How the day is to go wrong.
struct DayOptions {
  std::size_t first = 0;
  std::size_t every = 1;
  std::size_t at_most = SIZE_MAX;
  bool keeps = true;
  bool memory = false;  ///< allocations fail, instead of kills
  std::string only;
  std::vector<std::string> disabled;
};

/// What a unit must look like when the deed is done.
struct Expected {
  std::string unit;
  std::string state;
  int starts = -1;  ///< how often it was started by the deed; -1: does not matter
};

struct Deed {
  std::string name;
  std::function<void()> prepare;  ///< brings the world to where the deed begins
  std::function<void()> act;      ///< asks for it; safe to repeat when nothing came of it
  std::vector<Expected> expected;
  std::function<std::string()> check{};  ///< what else is wrong, if anything
};

/// The scripted day.
class Day {
 public:
  explicit Day(DayOptions options) : options_(std::move(options)), keeper_(make_keeper()) {}

  /// Every boundary of every deed, as the options say. An exit code.
  int run();

 private:
  Keeper::Options make_keeper();
  void write_units();
  void make_deeds();
  void make_deeds_of_leases();
  void make_deeds_of_descriptors();
  enum class Outcome { killed, over, broken };
  Outcome try_boundary(const Deed& deed, std::size_t at);
  Outcome break_at(const Deed& deed, std::size_t at);
  bool settle(const Deed& deed);
  bool compare(const Deed& deed);
  bool fail(const std::string& what);
  bool pause(std::chrono::milliseconds time);

  std::optional<bus::Client> client();
  bool call(const char* method, const std::string& unit);
  void take_lease(const std::string& unit);
  sys::Fd connect_to(const std::string& socket);
  void start_transient(const std::string& unit, const std::function<void(bus::Writer&)>& settings);
  void job(const char* method, const std::string& unit) { wait_for_jobs(call(method, unit)); }
  void wait_for_jobs(bool any);
  bus::Properties properties(const std::string& unit);
  bool is_in(pid_t pid, const std::string& unit);
  int starts_of(const std::string& unit);
  bool is_locked(const std::string& unit);
  bool left_connection();

  DayOptions options_;
  TemporaryDirectory directory_;
  Keeper keeper_;
  std::vector<Deed> deeds_;
  std::map<std::string, int> starts_before_;
  std::uint64_t steady_ = 0;
  sys::Fd lease_;
  sys::Fd connection_;   ///< that a service is to be made for
  sys::Pipe stream_;     ///< that a unit on request writes to
  sys::Child stranger_;  ///< that a scope is to take in
  std::size_t tried_ = 0;
  std::size_t survived_ = 0;
  std::size_t connections_ = 0;  ///< that a service was to be made for
  std::size_t lost_connections_ = 0;
  bool left_connection_ = false;        ///< by the daemon that was broken last
  std::chrono::milliseconds waited_{};  ///< in the course of a boundary
  std::string now_;
};

}  // namespace pidward::test
