// Unit names and their parts (systemd.unit(5), "Description"; "Unit names").
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace pidward::unit {

/// The suffix of a unit's name. pidward manages the first seven; the others are known by name only
/// and resolve to what is true of the system (a mount point that is mounted, a device node that
/// exists).
enum class UnitType : std::uint8_t {
  service,
  socket,
  target,
  timer,
  path,
  slice,
  scope,
  mount,
  automount,
  swap,
  device,
};
inline constexpr std::size_t kManagedTypes = 7;
inline constexpr std::size_t kUnitTypes = 11;
[[nodiscard]] constexpr bool is_managed(UnitType type) {
  return static_cast<std::size_t>(type) < kManagedTypes;
}
/// "service", without dot.
std::string_view to_string(UnitType type);
std::optional<UnitType> parse_unit_type(std::string_view suffix);

/// A valid unit name: PREFIX[@[INSTANCE]].TYPE, at most 255 bytes. Immutable, ordered and hashed by
/// its text. Copies share the text, since a dependency holds the name of its other end. Moved from,
/// it may only be assigned to or destroyed.
class UnitName {
 public:
  /// Errors: empty, too long, no or unknown suffix, a character outside [A-Za-z0-9:_.\\-@].
  static Result<UnitName> parse(std::string_view text);
  /// As systemctl completes what a person types: "nginx" is nginx.service, "/dev/sda" a device,
  /// "/home" a mount; characters that are not allowed are escaped. Globs are not expanded here.
  static Result<UnitName> mangle(std::string_view text, UnitType default_type = UnitType::service);

  /// Lives as long as any copy of this name.
  [[nodiscard]] const std::string& str() const { return shared_->text; }
  [[nodiscard]] UnitType type() const { return shared_->type; }
  /// "getty" of getty@tty1.service; "nginx" of nginx.service.
  [[nodiscard]] std::string_view prefix() const;
  /// "tty1" of getty@tty1.service; empty for templates and plain names.
  [[nodiscard]] std::string_view instance() const;
  /// Everything before the type suffix: "getty@tty1".
  [[nodiscard]] std::string_view stem() const;
  [[nodiscard]] bool is_template() const;
  [[nodiscard]] bool is_instance() const;
  /// getty@.service of getty@tty1.service. Only for instances.
  [[nodiscard]] UnitName template_name() const;
  /// This template filled in. Only for templates. Errors: the instance has characters that must be
  /// escaped.
  [[nodiscard]] Result<UnitName> with_instance(std::string_view instance) const;
  /// The same stem with another suffix: foo.socket → foo.service.
  [[nodiscard]] UnitName with_type(UnitType type) const;

  friend auto operator<=>(const UnitName& a, const UnitName& b) { return a.str() <=> b.str(); }
  friend bool operator==(const UnitName& a, const UnitName& b) {
    return a.shared_ == b.shared_ || a.str() == b.str();
  }

 private:
  struct Text {
    std::string text;
    UnitType type;
  };
  UnitName(std::string text, UnitType type)
      : shared_(std::make_shared<const Text>(Text{std::move(text), type})) {}
  std::shared_ptr<const Text> shared_;
};

/// systemd-escape(1): '/' becomes '-', everything unusual \xNN. `path`: as --path does (leading,
/// trailing and doubled slashes go first; "/" is "-").
std::string escape(std::string_view text);
std::string escape_path(std::string_view path);
/// The way back. Errors: a broken \x escape.
Result<std::string> unescape(std::string_view text);
Result<std::string> unescape_path(std::string_view text);

}  // namespace pidward::unit

template <>
struct std::hash<pidward::unit::UnitName> {
  std::size_t operator()(const pidward::unit::UnitName& name) const noexcept {
    return std::hash<std::string>{}(name.str());
  }
};
