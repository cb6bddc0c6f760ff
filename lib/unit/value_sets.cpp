// Sets of bits and numbers.
#include <algorithm>
#include <array>
#include <limits>

#include <fmt/core.h>

#include "unit/nearest.hpp"
#include "unit/syntax/words.hpp"
#include "unit/value_names.hpp"
#include "unit/value_parsers.hpp"

namespace pidward::unit::detail {
namespace {

struct SecureBit {
  std::string_view name;
  std::int64_t bit;
};
// linux/securebits.h; capabilities(7), "The securebits flags".
constexpr std::array<SecureBit, 6> kSecureBits{{{"noroot", 1 << 0},
                                                {"noroot-locked", 1 << 1},
                                                {"no-setuid-fixup", 1 << 2},
                                                {"no-setuid-fixup-locked", 1 << 3},
                                                {"keep-caps", 1 << 4},
                                                {"keep-caps-locked", 1 << 5}}};

constexpr std::uint64_t kMaxCpu = 8191;

/// systemd.resource-control(5), Delegate=; the last eight have nothing to delegate in cgroup v2.
constexpr std::array<std::string_view, 13> kControllers{"cpu",
                                                        "cpuset",
                                                        "io",
                                                        "memory",
                                                        "pids",
                                                        "cpuacct",
                                                        "blkio",
                                                        "devices",
                                                        "bpf-firewall",
                                                        "bpf-devices",
                                                        "bpf-foreign",
                                                        "bpf-socket-bind",
                                                        "bpf-restrict-network-interfaces"};

}  // namespace

Result<Value> parse_capabilities(std::string_view text, const ParseContext& context) {
  const bool invert = text.starts_with('~');
  if (invert) text.remove_prefix(1);
  SplitOptions options;
  options.escapes = Escapes::dropped;
  std::uint64_t set = 0;
  for (;;) {
    PIDWARD_TRY(const std::optional<Word> word, take_word(text, options));
    if (!word) break;
    if (const auto number = capability_from_text(word->text)) {
      set |= std::uint64_t{1} << *number;
    } else {
      PIDWARD_CHECK(
          drop(context,
               not_a(word->text, "a capability: names like CAP_NET_BIND_SERVICE are expected")));
    }
  }
  return Value(invert ? ~set : set);
}

Result<Value> parse_secure_bits(std::string_view text, const ParseContext& context) {
  SplitOptions options;
  options.escapes = Escapes::dropped;
  std::int64_t bits = 0;
  for (;;) {
    PIDWARD_TRY(const std::optional<Word> word, take_word(text, options));
    if (!word) return Value(bits);
    bool known = false;
    NearestWord nearest(word->text);
    for (const SecureBit& each : kSecureBits) {
      nearest.consider(each.name);
      if (each.name != word->text) continue;
      bits |= each.bit;
      known = true;
    }
    if (known) continue;
    PIDWARD_CHECK(drop(context, with_nearest(not_a(word->text, "a secure bit"), nearest)));
  }
}

Result<Value> parse_delegate(std::string_view text, const ParseContext& context) {
  if (const auto all = parse_boolean(text)) {
    return Value(std::vector<std::string>{*all ? "yes" : "no"});
  }
  SplitOptions options;
  options.escapes = Escapes::dropped;
  std::vector<std::string> controllers;
  for (;;) {
    PIDWARD_TRY(std::optional<Word> word, take_word(text, options));
    if (!word) return Value(std::move(controllers));
    if (std::ranges::find(kControllers, word->text) != kControllers.end()) {
      controllers.push_back(std::move(word->text));
      continue;
    }
    NearestWord nearest(word->text);
    for (const std::string_view each : kControllers) nearest.consider(each);
    PIDWARD_CHECK(drop(
        context, with_nearest(not_a(word->text, "yes, no or a controller like cpu, memory or pids"),
                              nearest)));
  }
}

Result<Value> parse_cpu_set(const Row& row, std::string_view written, const ParseContext& context) {
  PIDWARD_TRY(const std::string expanded, expand(written, context));
  std::string_view text = expanded;
  if (row.id == Directive::CPUAffinity && text == "numa")
    return Value(std::vector<std::string>{"numa"});
  SplitOptions options;
  options.escapes = Escapes::dropped;
  options.separators = " \t\n\r,";
  Value set = std::vector<std::string>();
  std::vector<bool> chosen(kMaxCpu + 1);
  for (;;) {
    PIDWARD_TRY(const std::optional<Word> word, take_word(text, options));
    if (!word) break;
    const std::string_view range = word->text;
    const std::size_t dash = range.find('-');
    const auto first = parse_unsigned(range.substr(0, dash), kMaxCpu);
    const auto last =
        dash == std::string_view::npos ? first : parse_unsigned(range.substr(dash + 1), kMaxCpu);
    if (!first || !last) return not_a(range, "a number from 0 to 8191 or a range like 0-3");
    if (*first > *last) return not_a(range, "a range: the first number is above the second");
    for (std::uint64_t cpu = *first; cpu <= *last; ++cpu) chosen[cpu] = true;
  }
  auto& numbers = std::get<std::vector<std::string>>(set);
  for (std::size_t cpu = 0; cpu < chosen.size(); ++cpu) {
    if (chosen[cpu]) numbers.push_back(fmt::format("{}", cpu));
  }
  return set;
}

}  // namespace pidward::unit::detail
