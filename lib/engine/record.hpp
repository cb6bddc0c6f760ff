// A unit's state as text, for the file that outlives the daemon: one "key=value" a line, sorted by
// nobody, defaults left out. Pure; where it is kept is the runtime's business.
//
// Both directions go through one list of fields per type: a function template that names each field
// once, called with a Saver or a Loader. A key that is missing leaves its field as it is, a key
// that nobody asks for is ignored, and a value that cannot be makes the record a bad one.
#pragma once

#include <algorithm>
#include <array>
#include <bitset>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/engine.hpp"

namespace pidward::engine {

/// The record of a service of which nothing is known but that it runs, and its main process.
std::string record_of_running_service(ProcessId main, InvocationId invocation, Now now);

class Saver {
 public:
  static constexpr bool kLoads = false;

  template <typename T>
  void number(std::string_view key, const T& value, T initial = {}) {
    if (value != initial) put_number(key, {}, value);
  }
  template <typename T>
  void choice(std::string_view key, const T& value, T /*last*/, T initial = {}) {
    number(key, static_cast<std::uint32_t>(value), static_cast<std::uint32_t>(initial));
  }
  template <typename Id>
  void id(std::string_view key, const Id& value) {
    number(key, value.number());
  }
  void process(std::string_view key, const ProcessId& value) { id(key, value); }
  void spawn(std::string_view key, const SpawnId& value) { id(key, value); }
  void flag(std::string_view key, const bool& value, bool initial = false) {
    if (value != initial) put(key, value ? "1" : "0");
  }
  void time(std::string_view key, const MonoTime& value, MonoTime initial = {}) {
    if (value != initial) put_number(key, {}, value.time_since_epoch().count());
  }
  void span(std::string_view key, const Duration& value) { number(key, value.count()); }
  void now(std::string_view key, const Now& value);
  void text(std::string_view key, const std::string& value);
  void directive(std::string_view key, const unit::Directive& value);
  void status(std::string_view key, const ExitStatus& value);
  /// A list: `each(archive, element)` names its fields; keys get the element's number in front.
  template <typename T, typename Each>
  void list(std::string_view key, const std::vector<T>& values, Each each) {
    number(key, values.size());
    const std::size_t outer = prefix_.size();
    for (std::size_t i = 0; i < values.size(); ++i) {
      prefix_ += key;
      prefix_ += std::to_string(i);
      prefix_ += '.';
      each(*this, const_cast<T&>(values[i]));  // NOLINT: the field lists serve both directions
      prefix_.resize(outer);
    }
  }
  [[nodiscard]] std::string take() { return std::move(out_); }

 private:
  /// `member` is of what has more than one number under its key, ".mono".
  void begin(std::string_view key, std::string_view member);
  void put(std::string_view key, std::string_view value);
  template <typename T>
  void put_number(std::string_view key, std::string_view member, T value) {
    constexpr std::size_t kLongest = 24;
    std::array<char, kLongest> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
    begin(key, member);
    out_.append(digits.data(), end);
    out_ += '\n';
  }
  std::string prefix_;
  std::string out_;
};

class Loader {
 public:
  static constexpr bool kLoads = true;

  /// `text` is to stay where it is for as long as this is read from.
  explicit Loader(std::string_view text, ProcessMap processes = {});
  /// Every value that was asked for could be understood.
  [[nodiscard]] bool is_good() const { return good_; }

  template <typename T>
  void number(std::string_view key, T& value, T /*initial*/ = {}) {
    read_number(find(key), value);
  }
  template <typename T>
  void choice(std::string_view key, T& value, T last, T /*initial*/ = {}) {
    auto raw = static_cast<std::uint32_t>(value);
    number(key, raw);
    if (raw > static_cast<std::uint32_t>(last)) {
      good_ = false;
    } else {
      value = static_cast<T>(raw);
    }
  }
  template <typename Id>
  void id(std::string_view key, Id& value) {
    typename Id::number_type raw = value.number();
    number(key, raw);
    value = Id(raw);
  }
  void process(std::string_view key, ProcessId& value);
  void spawn(std::string_view key, SpawnId& value) {
    id(key, value);
    last_spawn_ = std::max(last_spawn_, value);
  }
  /// The highest number of a spawn that was read: new ones are to be above it.
  [[nodiscard]] SpawnId last_spawn() const { return last_spawn_; }
  void flag(std::string_view key, bool& value, bool /*initial*/ = false) {
    std::uint32_t raw = value ? 1 : 0;
    number(key, raw);
    value = raw != 0;
  }
  void time(std::string_view key, MonoTime& value, MonoTime /*initial*/ = {}) {
    Duration::rep raw = value.time_since_epoch().count();
    number(key, raw);
    value = MonoTime(Duration(raw));
  }
  void span(std::string_view key, Duration& value) {
    Duration::rep raw = value.count();
    number(key, raw);
    value = Duration(raw);
  }
  void now(std::string_view key, Now& value);
  void text(std::string_view key, std::string& value);
  void directive(std::string_view key, unit::Directive& value);
  void status(std::string_view key, ExitStatus& value);
  template <typename T, typename Each>
  void list(std::string_view key, std::vector<T>& values, Each each) {
    constexpr std::size_t kMost = 1U << 20U;  // a number beyond that is no number of anything here
    std::size_t count = 0;
    number(key, count);
    if (count > kMost) {
      good_ = false;
      return;
    }
    const std::size_t outer = prefix_.size();
    values.assign(count, T());
    for (std::size_t i = 0; i < count; ++i) {
      prefix_ += key;
      prefix_ += std::to_string(i);
      prefix_ += '.';
      each(*this, values[i]);
      prefix_.resize(outer);
    }
  }

 private:
  struct Line {
    std::string_view key;
    std::string_view value;  ///< as it is written, escaped
  };
  /// What is written of the key, behind what was asked for before: all comes in the order in which
  /// it was written.
  [[nodiscard]] const std::string_view* find(std::string_view key, std::string_view member = {});
  [[nodiscard]] static std::size_t mark_of(std::string_view prefix, std::string_view key,
                                           std::string_view member);
  template <typename T>
  void read_number(const std::string_view* found, T& value) {
    if (found == nullptr) return;
    T parsed{};
    const auto [end, error] = std::from_chars(found->data(), found->data() + found->size(), parsed);
    if (error != std::errc() || end != found->data() + found->size()) {
      good_ = false;
    } else {
      value = parsed;
    }
  }

  static constexpr std::size_t kMarks = 256;
  std::bitset<kMarks> marks_;  ///< of the keys of all lines
  std::vector<Line> lines_;
  std::size_t next_ = 0;
  ProcessMap processes_;
  std::string prefix_;
  SpawnId last_spawn_;
  bool good_ = true;
};

/// An end that was told before the spawn it belongs to.
using EarlyExit = std::pair<ProcessId, ExitStatus>;
template <typename Archive>
void each_early_exit_field(Archive& archive, EarlyExit& exit) {
  archive.process("process", exit.first);
  archive.status("status", exit.second);
}

}  // namespace pidward::engine
