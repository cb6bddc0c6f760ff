#include "bus/properties/decode.hpp"

#include <limits>
#include <optional>

#include <fmt/core.h>

#include "unit/value_format.hpp"
#include "unit/value_parse.hpp"

namespace pidward::bus {
namespace {

using unit::Row;
using unit::Syntax;
using unit::Value;

using Words = std::vector<std::string>;

Error wrong_type(const Row& row, std::string_view found, std::string_view expected) {
  return {Errc::invalid_argument,
          fmt::format("Property {} has type '{}', expecting '{}'.", row.bus_name, found, expected)};
}

/// Any of D-Bus' integers, as wide as there is. Nothing: it is no integer, or a negative one.
struct Integer {
  bool negative = false;
  std::uint64_t number = 0;
  [[nodiscard]] std::string text() const {
    return fmt::format("{}{}", negative ? "-" : "", number);
  }
};
std::optional<Integer> read_integer(std::string_view type, Reader& in) {
  const auto signed_number = [](std::int64_t number) {
    return Integer{number < 0, number < 0 ? std::uint64_t{0} - static_cast<std::uint64_t>(number)
                                          : static_cast<std::uint64_t>(number)};
  };
  if (type == "y") return Integer{false, in.y()};
  if (type == "q") return Integer{false, in.q()};
  if (type == "u") return Integer{false, in.u()};
  if (type == "t") return Integer{false, in.t()};
  if (type == "i") return signed_number(in.i());
  if (type == "x") return signed_number(in.x());
  return std::nullopt;
}

using unit::kNoLimit;

std::string number_or_infinity(std::uint64_t number) {
  return number == kNoLimit ? "infinity" : fmt::format("{}", number);
}

/// Amounts and weights of resource control, as their directives write them; what is not set is no
/// text.
Result<Value> decode_resource(const Row& row, std::uint64_t number) {
  const bool is_quota = row.id == unit::Directive::CPUQuota;
  if (is_quota || row.id == unit::Directive::CPUWeight) {
    if (number == kNoLimit) return Value(std::string());
    if (is_quota) {
      return parse_value(row, fmt::format("{}.{:02}%", number / 10000, number / 100 % 100));
    }
    return parse_value(row, number == 0 ? "idle" : fmt::format("{}", number));
  }
  return parse_value(row, number_or_infinity(number));
}

/// Numbers, written as the directive's text writes them and read by its own parser, which knows
/// the range.
Result<Value> decode_number(const Row& row, std::string_view type, Reader& in) {
  const auto number = read_integer(type, in);
  if (!number) return wrong_type(row, type, row.bus_type);
  if (row.syntax == Syntax::seconds || row.syntax == Syntax::timeout) {
    return Value(from_bus_usec(number->number));
  }
  if (row.syntax == Syntax::nanoseconds || row.syntax == Syntax::capabilities) {
    return Value(number->number);
  }
  if (row.syntax == Syntax::resource && !number->negative) {
    return decode_resource(row, number->number);
  }
  if (row.syntax == Syntax::limit) {
    return Value(unit::ResourceLimit{number->number, number->number});
  }
  const bool bits = row.syntax == Syntax::mode || row.syntax == Syntax::secure_bits;
  if (!bits && row.syntax != Syntax::choice) {
    return parse_value(row, number->negative ? number->text() : number_or_infinity(number->number));
  }
  constexpr std::uint64_t kAllModeBits = 07777;
  const std::uint64_t end = bits ? kAllModeBits + 1 : row.choices.size();
  if (!number->negative && number->number < end) {
    return Value(static_cast<std::int64_t>(number->number));
  }
  return Error(Errc::invalid_argument,
               fmt::format("Property {}: {} is out of range.", row.bus_name, number->text()));
}

Value decode_pairs_of_paths(Reader& in) {
  Words out;
  in.enter('a', "(sb)");
  while (in.more() && in.enter('r', "sb")) {
    const std::string path = in.s();
    out.push_back(in.b() ? "-" + path : path);
    in.exit();
  }
  in.exit();
  return out;
}

Value decode_commands(Reader& in) {
  unit::ExecList list;
  in.enter('a', "(sasb)");
  while (in.more() && in.enter('r', "sasb")) {
    unit::ExecCommand command;
    command.path = in.s();
    command.argv = in.as();
    command.ignore_failure = in.b();
    in.exit();
    list.push_back(std::move(command));
  }
  in.exit();
  return list;
}

Result<Value> decode_commands_ex(const Row& row, Reader& in) {
  unit::ExecList list;
  in.enter('a', "(sasas)");
  while (in.more() && in.enter('r', "sasas")) {
    unit::ExecCommand command;
    command.path = in.s();
    command.argv = in.as();
    for (const std::string& word : in.as()) {
      if (word == "ignore-failure") {
        command.ignore_failure = true;
      } else if (word == "privileged") {
        command.full_privileges = true;
      } else if (word == "no-setuid") {
        command.no_setuid = true;
      } else if (word == "ambient") {
        command.ambient_magic = true;
      } else if (word == "no-env-expand") {
        command.no_env_expand = true;
      } else {
        return Error(Errc::invalid_argument,
                     fmt::format("Property {}Ex: there is no flag '{}'.", row.bus_name, word));
      }
    }
    in.exit();
    list.push_back(std::move(command));
  }
  in.exit();
  return Value(std::move(list));
}

/// As systemd has it: an absolute path or a file's name, and at least argv[0].
Status check_command(const Row& row, const unit::ExecCommand& command) {
  const std::string& path = command.path;
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.';
  };
  const bool is_name = !path.empty() && is_plain(path[0]) && path.find('/') == std::string::npos;
  if ((is_name || path.starts_with('/')) && !command.argv.empty()) return {};
  return Error(Errc::invalid_argument,
               fmt::format("Property {}: a command needs an absolute path, or the name of a "
                           "program, and at least argv[0]; found '{}' with {} arguments.",
                           row.bus_name, path, command.argv.size()));
}

Value decode_statuses(Reader& in) {
  unit::ExitStatusSet set;
  const auto read = [&in](std::vector<std::uint8_t>& into) {
    in.enter('a', "i");
    while (in.more()) into.push_back(static_cast<std::uint8_t>(in.i()));
    in.exit();
  };
  in.enter('r', "aiai");
  read(set.codes);
  read(set.signals);
  in.exit();
  return set;
}

Value decode_cpus(Reader& in) {
  Words numbers;
  const std::vector<std::uint8_t> mask = in.ay();
  for (std::size_t bit = 0; bit < mask.size() * 8; ++bit) {
    if ((mask[bit / 8] >> (bit % 8) & 1U) != 0) numbers.push_back(fmt::format("{}", bit));
  }
  return numbers;
}

/// "(bas)": a list and whether it is what is allowed; "(bs)": a text that may be ignored.
std::string decode_marked(std::string_view type, Reader& in) {
  std::string text;
  in.enter('r', type == "(bas)" ? "bas" : "bs");
  const bool marked = in.b();
  if (type == "(bs)") {
    text = (marked ? "-" : "") + in.s();
  } else {
    if (!marked) text = "~";
    for (const std::string& word : in.as()) text += (text.size() > 1 ? " " : "") + word;
  }
  in.exit();
  return text;
}

Value decode_text_pairs(std::string_view type, Reader& in) {
  unit::RawText raw;
  in.enter('a', type == "a(st)" ? "(st)" : "(ss)");
  while (in.more() && in.enter('r', type == "a(st)" ? "st" : "ss")) {
    const std::string first = in.s();
    const std::string second = type == "a(st)" ? number_or_infinity(in.t()) : in.s();
    raw.lines.push_back(second.empty() ? first : first + " " + second);
    in.exit();
  }
  in.exit();
  return raw;
}

/// Directives whose text nobody has judged yet: what the bus says, in the words of a unit file.
Result<Value> decode_raw(const Row& row, std::string_view type, Reader& in) {
  if (type != row.bus_type) return wrong_type(row, type, row.bus_type);
  if (type == "s") return Value(unit::RawText{{in.s()}});
  if (type == "as") return Value(unit::RawText{in.as()});
  if (type == "b") return Value(unit::RawText{{in.b() ? "yes" : "no"}});
  if (type == "a(ss)" || type == "a(st)") return decode_text_pairs(type, in);
  if (type == "(bas)" || type == "(bs)") return Value(unit::RawText{{decode_marked(type, in)}});
  if (const auto number = read_integer(type, in)) {
    return Value(
        unit::RawText{{number->negative ? number->text() : number_or_infinity(number->number)}});
  }
  return Error(
      Errc::not_supported,
      fmt::format("Property {} of type '{}' cannot be set over the bus.", row.bus_name, type));
}

/// A word or text: what the directive's own parser makes of it.
Result<Value> decode_text(const Row& row, const std::string& text) {
  if (row.syntax == Syntax::string) return Value(text);
  return parse_value(row, text);
}

Result<Value> decode_words(const Row& row, Words words) {
  if (row.syntax != Syntax::exec_directories) return Value(std::move(words));
  std::vector<unit::ExecDirectory> directories;
  for (std::string& word : words) directories.push_back({std::move(word), {}});
  return Value(std::move(directories));
}

Result<Value> decode_by_type(const Row& row, std::string_view type, Reader& in) {
  if (row.syntax == Syntax::raw) return decode_raw(row, type, in);
  if (row.syntax == Syntax::exec) {
    if (type == "a(sasb)") return decode_commands(in);
    if (type == "a(sasas)") return decode_commands_ex(row, in);
    return wrong_type(row, type, "a(sasb)");
  }
  if (row.syntax == Syntax::delegate && type == "as") return decode_words(row, in.as());
  if (type != row.bus_type) return wrong_type(row, type, row.bus_type);
  if (type == "b" && row.syntax == Syntax::boolean) return Value(in.b());
  if (type == "b" && (row.syntax == Syntax::tristate || row.syntax == Syntax::delegate)) {
    return parse_value(row, in.b() ? "yes" : "no");
  }
  if (type == "s") return decode_text(row, in.s());
  if (type == "as") return decode_words(row, in.as());
  if (type == "a(sb)" && row.syntax == Syntax::environment_files) return decode_pairs_of_paths(in);
  if (type == "(aiai)" && row.syntax == Syntax::exit_statuses) return decode_statuses(in);
  if (type == "ay" && row.syntax == Syntax::cpu_set) return decode_cpus(in);
  if (type == "ay" && row.syntax == Syntax::input_data) {
    const std::vector<std::uint8_t> bytes = in.ay();
    return Value(std::string(bytes.begin(), bytes.end()));
  }
  if (type == "(bs)" || type == "(bas)") return decode_text(row, decode_marked(type, in));
  return decode_number(row, type, in);
}

/// What was made must be something the directive's lines could have said.
Status check(const Row& row, const Value& value) {
  if (const auto* commands = std::get_if<unit::ExecList>(&value)) {
    for (const unit::ExecCommand& command : *commands) PIDWARD_CHECK(check_command(row, command));
  }
  for (const unit::AssignmentText& line : format_value(row, value)) {
    if (line.text.empty()) continue;
    const auto read = parse_value(row, line.text);
    if (!read) {
      return Error(Errc::invalid_argument,
                   fmt::format("Property {}: {}", row.bus_name, read.error().message()))
          .advise(read.error().advice());
    }
  }
  return {};
}

}  // namespace

Result<Value> decode_value(const Row& row, std::string_view type, Reader& in) {
  auto value = decode_by_type(row, type, in);
  if (in.error() != 0) return wrong_type(row, type, row.bus_type);
  if (!value) {
    const Error& why = value.error();
    const Errc kind =
        why.code() == Errc::not_supported ? Errc::not_supported : Errc::invalid_argument;
    const bool is_named = why.message().starts_with("Property ");
    return Error(kind, is_named ? why.message()
                                : fmt::format("Property {}: {}", row.bus_name, why.message()))
        .advise(why.advice());
  }
  PIDWARD_CHECK(check(row, *value));
  return value;
}

}  // namespace pidward::bus
