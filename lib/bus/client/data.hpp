// Any D-Bus value as a small tree, for programs that print what they did not know of.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "bus/reader.hpp"

namespace pidward::bus {

/// `type` is the D-Bus type ('a' arrays, 'r' structs, 'e' dictionary entries). Variants are their
/// contents.
struct Data {
  char type = 0;
  std::string text;          ///< s, o, g and d
  std::uint64_t number = 0;  ///< integers and booleans; signed ones in two's complement
  std::vector<Data> items;   ///< containers
  std::string contents;      ///< signature of a container's contents

  [[nodiscard]] bool is_signed() const { return type == 'i' || type == 'x' || type == 'n'; }
  [[nodiscard]] std::int64_t integer() const { return static_cast<std::int64_t>(number); }
  /// The strings of an array of strings.
  [[nodiscard]] std::vector<std::string> strings() const;
};

/// The next complete value; type 0 at the end. Errors stay in `in`.
Data read_data(Reader& in);

/// Properties by name.
class Properties {
 public:
  std::map<std::string, Data> values;
  [[nodiscard]] const std::string& text(const std::string& name) const;
  [[nodiscard]] std::uint64_t number(const std::string& name) const;
  [[nodiscard]] bool flag(const std::string& name) const { return number(name) != 0; }
  [[nodiscard]] std::vector<std::string> strings(const std::string& name) const;
  [[nodiscard]] const Data& data(const std::string& name) const;
  [[nodiscard]] bool has(const std::string& name) const { return values.count(name) > 0; }
};
/// Reads "a{sv}".
Properties read_properties(Reader& in);

}  // namespace pidward::bus
