#include "unit/calendar/time_zone.hpp"

#include <algorithm>
#include <array>

namespace pidward::unit {
namespace {

using std::chrono::floor;
using std::chrono::seconds;

constexpr std::size_t kHeader = 44;
constexpr std::size_t kMaxZoneFile = std::size_t{1} << 20U;

/// The parts of a zone file say how many entries each has; this reads them one after the other.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : rest_(bytes) {}
  [[nodiscard]] bool has(std::size_t count) const { return rest_.size() >= count; }
  void skip(std::size_t count) { rest_.remove_prefix(count); }
  [[nodiscard]] std::string_view rest() const { return rest_; }

  /// A big-endian number of two's complement.
  std::int64_t number(std::size_t width) {
    std::uint64_t value = (static_cast<unsigned char>(rest_[0]) & 0x80U) != 0 ? ~0ULL : 0;
    for (std::size_t i = 0; i < width; ++i) {
      value = (value << 8U) | static_cast<unsigned char>(rest_[i]);
    }
    skip(width);
    return static_cast<std::int64_t>(value);
  }

 private:
  std::string_view rest_;
};

struct Counts {
  std::size_t utc = 0, standard = 0, leaps = 0, times = 0, types = 0, names = 0;
  [[nodiscard]] std::size_t size(std::size_t time_width) const {
    return times * (time_width + 1) + types * 6 + names + leaps * (time_width + 4) + standard + utc;
  }
};

/// Reads a header; nothing when it is none.
std::optional<Counts> read_header(ByteReader& in, char& version) {
  if (!in.has(kHeader) || !in.rest().starts_with("TZif")) return std::nullopt;
  version = in.rest()[4];
  in.skip(20);
  std::array<std::size_t, 6> counts{};
  for (std::size_t& count : counts) {
    const std::int64_t number = in.number(4);
    if (number < 0 || number > static_cast<std::int64_t>(kMaxZoneFile)) return std::nullopt;
    count = static_cast<std::size_t>(number);
  }
  return Counts{counts[0], counts[1], counts[2], counts[3], counts[4], counts[5]};
}

Error malformed() {
  return {Errc::syntax, "this is not a time zone file"};
}

bool is_zone_name(std::string_view name) {
  const bool plain = std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' ||
           c == '_' || c == '-' || c == '+';
  });
  return plain && !name.empty() && name.front() != '/' && name.back() != '/' &&
         name.find("//") == std::string_view::npos;
}

}  // namespace

Result<TimeZone> TimeZone::parse(std::string_view bytes) {
  ByteReader in(bytes);
  char version = 0;
  std::optional<Counts> counts = read_header(in, version);
  if (!counts) return malformed();
  std::size_t width = 4;
  if (version >= '2') {
    // The first part has 32-bit times for old readers; the same follows with 64 bits.
    if (!in.has(counts->size(4))) return malformed();
    in.skip(counts->size(4));
    counts = read_header(in, version);
    if (!counts) return malformed();
    width = 8;
  }
  if (counts->types == 0 || !in.has(counts->size(width))) return malformed();
  std::vector<std::int64_t> times(counts->times);
  for (std::int64_t& time : times) time = in.number(width);
  std::vector<std::size_t> kinds(counts->times);
  for (std::size_t& kind : kinds) kind = static_cast<std::size_t>(in.number(1)) & 0xFFU;
  std::vector<std::int64_t> offsets(counts->types);
  for (std::int64_t& offset : offsets) {
    offset = in.number(4);
    in.skip(2);
  }
  TimeZone zone;
  zone.first_offset_ = offsets.front();
  for (std::size_t i = 0; i < times.size(); ++i) {
    if (kinds[i] >= offsets.size() || (i > 0 && times[i] <= times[i - 1])) return malformed();
    zone.transitions_.push_back({times[i], offsets[kinds[i]]});
  }
  if (width == 4) return zone;
  in.skip(counts->names + counts->leaps * 12 + counts->standard + counts->utc);
  std::string_view footer = in.rest();
  if (footer.size() < 2 || footer.front() != '\n') return malformed();
  footer.remove_prefix(1);
  const std::string_view rule = footer.substr(0, footer.find('\n'));
  if (rule.empty()) return zone;
  zone.rule_ = ZoneRule::parse(rule);
  if (!zone.rule_) return malformed();
  return zone;
}

std::int64_t TimeZone::offset_at(std::int64_t utc_seconds) const {
  const auto after = std::upper_bound(
      transitions_.begin(), transitions_.end(), utc_seconds,
      [](std::int64_t time, const Transition& transition) { return time < transition.at; });
  if (after == transitions_.end() && rule_) return rule_->offset_at(utc_seconds);
  return after == transitions_.begin() ? first_offset_ : std::prev(after)->offset;
}

CivilTime TimeZone::to_civil(WallTime at) const {
  const Duration since = at.time_since_epoch();
  return CivilTime(since + seconds(offset_at(floor<seconds>(since).count())));
}

std::optional<WallTime> TimeZone::from_civil(CivilTime civil) const {
  const Duration since = civil.time_since_epoch();
  const std::int64_t shown = floor<seconds>(since).count();
  // No zone is further than a day from Greenwich: what holds then is among these.
  constexpr std::int64_t kHour = 3600;
  std::optional<WallTime> first;
  for (const std::int64_t hours : {-26, -12, 0, 12, 26}) {
    const std::int64_t offset = offset_at(shown + hours * kHour);
    if (offset_at(shown - offset) != offset) continue;
    const WallTime at{since - seconds(offset)};
    if (!first || at < *first) first = at;
  }
  return first;
}

TimeZonePtr TimeZones::read(const std::string& path) const {
  const auto bytes = files_->read(path, kMaxZoneFile);
  if (!bytes) return nullptr;
  auto zone = TimeZone::parse(*bytes);
  return zone ? std::make_shared<const TimeZone>(*std::move(zone)) : nullptr;
}

TimeZonePtr TimeZones::find(std::string_view name) const {
  const std::string key(name);
  if (const auto found = known_.find(key); found != known_.end()) return found->second;
  TimeZonePtr zone;
  if (name == "UTC") {
    zone = std::make_shared<const TimeZone>();
  } else if (is_zone_name(name)) {
    zone = read("/usr/share/zoneinfo/" + key);
  }
  return known_.emplace(key, std::move(zone)).first->second;
}

TimeZonePtr TimeZones::local(std::string_view variable) const {
  if (variable.starts_with(':')) variable.remove_prefix(1);
  TimeZonePtr zone = variable.empty() ? nullptr : find(variable);
  if (zone == nullptr) zone = read("/etc/localtime");
  return zone == nullptr ? find("UTC") : zone;
}

}  // namespace pidward::unit
