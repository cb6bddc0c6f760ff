#include "unit/name.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include <fmt/core.h>

#include "base/contract.hpp"
#include "unit/syntax/words.hpp"

namespace pidward::unit {
namespace {

constexpr std::size_t kNameMax = 255;

constexpr std::array<std::string_view, kUnitTypes> kTypeNames{
    "service", "socket", "target",    "timer", "path",  "slice",
    "scope",   "mount",  "automount", "swap",  "device"};

bool is_alnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_name_char(char c) {
  return is_alnum(c) || c == ':' || c == '-' || c == '_' || c == '.' || c == '\\' || c == '@';
}

/// What escape() leaves alone; a leading dot is escaped all the same, so that no hidden file name
/// comes out.
bool is_escape_safe(char c) {
  return is_alnum(c) || c == ':' || c == '_' || c == '.';
}

void append_hex(std::string& out, char c) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  const auto byte = static_cast<unsigned char>(c);
  out += "\\x";
  out += kDigits[byte >> 4U];
  out += kDigits[byte & 15U];
}

std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 80)) {
    if (c >= ' ' && c != '\x7f') {
      out += c;
    } else {
      append_hex(out, c);
    }
  }
  if (text.size() > 80) out += "...";
  return out;
}

Error bad_name(std::string_view text, std::string_view why) {
  return Error(Errc::invalid_argument,
               fmt::format("\"{}\" is not a valid unit name: {}", printable(text), why));
}

}  // namespace

std::string_view to_string(UnitType type) {
  return kTypeNames.at(static_cast<std::size_t>(type));
}

std::optional<UnitType> parse_unit_type(std::string_view suffix) {
  const auto found = std::find(kTypeNames.begin(), kTypeNames.end(), suffix);
  if (found == kTypeNames.end()) return std::nullopt;
  return static_cast<UnitType>(found - kTypeNames.begin());
}

Result<UnitName> UnitName::parse(std::string_view text) {
  if (text.empty()) return bad_name(text, "it is empty");
  if (text.size() > kNameMax) {
    return bad_name(text, fmt::format("it has {} bytes, {} are allowed", text.size(), kNameMax));
  }
  const std::size_t dot = text.rfind('.');
  const auto type =
      dot == std::string_view::npos ? std::nullopt : parse_unit_type(text.substr(dot + 1));
  if (!type) {
    return std::move(bad_name(text, "it does not end in the name of a unit type"))
        .advise("Unit names end in .service, .socket, .target, .timer, .path, .slice or .scope");
  }
  if (dot == 0) return bad_name(text, "there is nothing before the suffix");
  const std::string_view stem = text.substr(0, dot);
  const auto wrong = std::find_if_not(stem.begin(), stem.end(), is_name_char);
  if (wrong != stem.end()) {
    return std::move(bad_name(text, fmt::format("the character '{}' is not allowed",
                                                printable(std::string_view(&*wrong, 1)))))
        .advise("Letters, digits and : - _ . \\ @ are; others are written \\xNN");
  }
  if (stem.front() == '@') return bad_name(text, "there is nothing before the '@'");
  return UnitName(std::string(text), *type);
}

Result<UnitName> UnitName::mangle(std::string_view text, UnitType default_type) {
  if (text.empty()) return bad_name(text, "it is empty");
  if (auto name = parse(text)) return name;
  const auto below = [text](std::string_view directory) {
    return text.substr(0, directory.size()) == directory;
  };
  if (text.front() == '/') {
    const UnitType type = below("/dev/") || below("/sys/") ? UnitType::device : UnitType::mount;
    return parse(fmt::format("{}.{}", escape_path(text), to_string(type)));
  }
  std::string out;
  for (const char c : text) {
    if (c == '/') {
      out += '-';
    } else if (is_name_char(c)) {
      out += c;
    } else {
      append_hex(out, c);
    }
  }
  const std::size_t dot = out.rfind('.');
  if (dot == std::string::npos || !parse_unit_type(std::string_view(out).substr(dot + 1))) {
    out += '.';
    out += to_string(default_type);
  }
  return parse(out);
}

std::string_view UnitName::stem() const {
  return std::string_view(str()).substr(0, str().rfind('.'));
}

std::string_view UnitName::prefix() const {
  const std::string_view all = stem();
  return all.substr(0, all.find('@'));
}

std::string_view UnitName::instance() const {
  const std::string_view all = stem();
  const std::size_t at = all.find('@');
  return at == std::string_view::npos ? std::string_view() : all.substr(at + 1);
}

bool UnitName::is_template() const {
  const std::string_view all = stem();
  return all.find('@') == all.size() - 1;
}

bool UnitName::is_instance() const {
  return !instance().empty();
}

UnitName UnitName::template_name() const {
  PIDWARD_EXPECT(is_instance());
  return {fmt::format("{}@.{}", prefix(), to_string(type())), type()};
}

Result<UnitName> UnitName::with_instance(std::string_view instance) const {
  PIDWARD_EXPECT(is_template());
  if (instance.empty()) return bad_name(str(), "the instance is empty");
  auto name = parse(fmt::format("{}@{}.{}", prefix(), instance, to_string(type())));
  if (!name) {
    return std::move(name.error())
        .advise("pidwardctl takes instances escaped as systemd-escape does");
  }
  return name;
}

UnitName UnitName::with_type(UnitType type) const {
  return {fmt::format("{}.{}", stem(), to_string(type)), type};
}

std::string escape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '/') {
      out += '-';
    } else if (is_escape_safe(c) && (i != 0 || c != '.')) {
      out += c;
    } else {
      append_hex(out, c);
    }
  }
  return out;
}

std::string escape_path(std::string_view path) {
  std::string clean;
  for (std::size_t at = 0; at < path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string_view part = path.substr(at, end - at);
    if (!part.empty() && part != ".") {
      if (!clean.empty()) clean += '/';
      clean += part;
    }
    at = end + 1;
  }
  return clean.empty() ? "-" : escape(clean);
}

Result<std::string> unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '-') {
      out += '/';
    } else if (text[i] != '\\') {
      out += text[i];
    } else {
      const int high = i + 3 < text.size() && text[i + 1] == 'x' ? hex_digit(text[i + 2]) : -1;
      const int low = high >= 0 ? hex_digit(text[i + 3]) : -1;
      if (low < 0) {
        return Error(
            Errc::invalid_argument,
            fmt::format("\"{}\" has a broken escape at byte {}: expected \\xNN with two hex digits",
                        printable(text), i + 1));
      }
      out += static_cast<char>(high * 16 + low);
      i += 3;
    }
  }
  return out;
}

Result<std::string> unescape_path(std::string_view text) {
  if (text == "-") return std::string("/");
  PIDWARD_TRY(std::string path, unescape(text));
  if (path.empty() || path.front() == '/' || path.back() == '/' ||
      path.find("//") != std::string::npos) {
    return Error(Errc::invalid_argument,
                 fmt::format("\"{}\" is not an escaped path", printable(text)));
  }
  return "/" + path;
}

}  // namespace pidward::unit
