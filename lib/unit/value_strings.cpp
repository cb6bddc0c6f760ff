// Single strings, paths and unit names.
#include <algorithm>
#include <array>

#include <fmt/core.h>

#include "unit/syntax/words.hpp"
#include "unit/value_parsers.hpp"

namespace pidward::unit::detail {
namespace {

constexpr std::size_t kMaxPath = 4095;
constexpr std::size_t kMaxName = 255;

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
}
bool is_alphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

Status check_descriptor_name(std::string_view name) {
  const bool fine = name.size() <= kMaxName && std::none_of(name.begin(), name.end(), [](char c) {
                      return is_control(c) || c == ':' || static_cast<unsigned char>(c) > 0x7E;
                    });
  if (fine) return {};
  return not_a(name, "a descriptor name: at most 255 ASCII characters without ':' are expected");
}

/// dbus-specification, "Bus names"; unique names cannot be claimed.
Status check_bus_name(std::string_view name) {
  bool dot = false;
  bool fresh = true;
  bool fine = !name.empty() && name.size() <= kMaxName;
  for (const char c : name) {
    if (c == '.') {
      fine = fine && !fresh;
      dot = fresh = true;
    } else {
      const bool digit = c >= '0' && c <= '9';
      fine = fine && (is_alphanumeric(c) || c == '_' || c == '-') && !(fresh && digit);
      fresh = false;
    }
  }
  if (fine && dot && !fresh) return {};
  return not_a(name, "a bus name: names with dots between, like org.example.Service, are expected");
}

/// What a string directive demands of its text beyond being text.
Status check_string(Directive id, std::string_view text) {
  constexpr std::array kAccounts{Directive::User, Directive::Group, Directive::SocketUser,
                                 Directive::SocketGroup};
  if (std::find(kAccounts.begin(), kAccounts.end(), id) != kAccounts.end())
    return check_user_name(text);
  if (id == Directive::FileDescriptorName) return check_descriptor_name(text);
  if (id == Directive::BusName) return check_bus_name(text);
  return {};
}

int base64_digit(char c) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const std::size_t index = kDigits.find(c);
  return index == std::string_view::npos ? -1 : static_cast<int>(index);
}

/// RFC 4648, blanks anywhere.
Result<std::string> decode_base64(std::string_view text) {
  const auto bad = [] { return Error(Errc::syntax, "the value is not base64 data"); };
  std::string out;
  unsigned bits = 0;
  unsigned count = 0;
  unsigned padding = 0;
  unsigned digits = 0;
  for (const char c : text) {
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') continue;
    ++digits;
    if (c == '=') {
      ++padding;
      continue;
    }
    const int digit = base64_digit(c);
    if (digit < 0 || padding > 0) return bad();
    bits = (bits << 6U) | static_cast<unsigned>(digit);
    count += 6;
    if (count >= 8) {
      count -= 8;
      out += static_cast<char>((bits >> count) & 0xFFU);
      bits &= (1U << count) - 1;
    }
  }
  if (digits % 4 != 0 || padding > 2 || bits != 0) return bad();
  return out;
}

/// A template without an instance means the one of this unit, or its prefix.
Result<UnitName> resolve_unit_name(std::string_view text, const ParseContext& context) {
  PIDWARD_TRY(const std::string expanded, expand(text, context));
  PIDWARD_TRY(const UnitName name, UnitName::parse(expanded));
  if (!name.is_template() || context.name == nullptr) return name;
  return name.with_instance(context.name->is_instance() ? context.name->instance()
                                                        : context.name->prefix());
}

}  // namespace

Status check_user_name(std::string_view name) {
  const bool number =
      !name.empty() && name.find_first_not_of("0123456789") == std::string_view::npos;
  if (number) {
    const auto uid = parse_decimal(name, 0xFFFFFFFEU);
    constexpr std::uint64_t kOldNobody = 0xFFFF;
    if (uid && *uid != kOldNobody) return {};
    return not_a(name, "a user or group id");
  }
  const bool signed_number =
      name.size() > 1 && name.front() == '-' &&
      name.substr(1).find_first_not_of("0123456789") == std::string_view::npos;
  const bool fine = !name.empty() && name.size() <= kMaxName && trim(name) == name &&
                    !signed_number && name != "." && name != ".." &&
                    std::none_of(name.begin(), name.end(),
                                 [](char c) { return is_control(c) || c == ':' || c == '/'; });
  if (fine) return {};
  return not_a(name, "a name or number of a user or group");
}

std::string simplify_path(std::string_view path) {
  std::string result;
  const bool absolute = path.starts_with('/');
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
    if (part.empty() || part == ".") continue;
    if (absolute || !result.empty()) result += '/';
    result += part;
  }
  if (result.empty()) result = absolute ? "/" : ".";
  return result;
}

Result<std::string> check_path(std::string path) {
  if (!path.starts_with('/')) return not_a(path, "an absolute path: it must begin with '/'");
  if (path.size() > kMaxPath) return Error(Errc::syntax, "the path is longer than 4095 bytes");
  std::string simple = simplify_path(path);
  if ((simple + "/").find("/../") != std::string::npos) return not_a(path, "a path without '..'");
  return simple;
}

std::string without_var_run(std::string path, const ParseContext& context) {
  constexpr std::string_view kLegacy = "/var/run/";
  if (!path.starts_with(kLegacy)) return path;
  std::string moved = "/run/" + path.substr(kLegacy.size());
  remark(context,
         fmt::format("{} is below the legacy directory /var/run and read as {}", path, moved));
  return moved;
}

Result<Value> parse_string(const Row& row, std::string_view text, const ParseContext& context) {
  PIDWARD_TRY(std::string expanded, expand(text, context));
  PIDWARD_CHECK(check_string(row.id, expanded));
  return Value(std::move(expanded));
}

Result<Value> parse_path(const Row& row, std::string_view text, const ParseContext& context) {
  PIDWARD_TRY(std::string path, expand(text, context));
  // A relative PIDFile= is below the runtime directory (systemd.service(5)).
  if (row.id == Directive::PIDFile && !path.starts_with('/') && context.specifiers != nullptr) {
    path = context.specifiers->runtime_root + "/" + path;
  }
  PIDWARD_TRY(std::string checked, check_path(std::move(path)));
  if (row.id == Directive::PIDFile) checked = without_var_run(std::move(checked), context);
  return Value(std::move(checked));
}

Result<Value> parse_working_directory(std::string_view text, const ParseContext& context) {
  const bool may_be_missing = text.starts_with('-');
  const std::string_view directory = may_be_missing ? text.substr(1) : text;
  const std::string prefix = may_be_missing ? "-" : "";
  if (directory == "~") return Value(prefix + "~");
  PIDWARD_TRY(std::string path, expand(directory, context));
  PIDWARD_TRY(const std::string checked, check_path(std::move(path)));
  return Value(prefix + checked);
}

Result<Value> parse_unit_name(const Row& row, std::string_view text, const ParseContext& context) {
  PIDWARD_TRY(const UnitName name, resolve_unit_name(text, context));
  if (row.id == Directive::Service && name.type() != UnitType::service) {
    return not_a(name.str(), "the name of a service: it must end in .service");
  }
  if (row.id == Directive::Slice && name.type() != UnitType::slice) {
    return not_a(name.str(), "the name of a slice: it must end in .slice");
  }
  if (row.id == Directive::Unit && context.name != nullptr && name == *context.name) {
    return Error(Errc::syntax, fmt::format("{} cannot activate itself", name.str()));
  }
  return Value(name.str());
}

Result<Value> parse_unit_names(std::string_view text, const ParseContext& context) {
  std::vector<std::string> names;
  SplitOptions options;
  options.escapes = Escapes::kept;
  for (;;) {
    PIDWARD_TRY(const std::optional<Word> word, take_word(text, options));
    if (!word) return Value(std::move(names));
    auto name = resolve_unit_name(word->text, context);
    if (name) {
      names.push_back(name->str());
    } else {
      PIDWARD_CHECK(drop(context, std::move(name).error()));
    }
  }
}

Result<Value> parse_input_data(const Row& row, std::string_view text, const ParseContext& context) {
  if (row.syntax == Syntax::input_data) {
    PIDWARD_TRY(std::string bytes, decode_base64(text));
    return Value(std::move(bytes));
  }
  PIDWARD_TRY(const std::string unescaped, unescape_c(text));
  PIDWARD_TRY(std::string bytes, expand(unescaped, context));
  bytes += '\n';
  return Value(std::move(bytes));
}

}  // namespace pidward::unit::detail
