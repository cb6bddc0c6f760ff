#include "bus/client/data.hpp"

#include <fmt/core.h>

namespace pidward::bus {

std::vector<std::string> Data::strings() const {
  std::vector<std::string> out;
  for (const Data& item : items) out.push_back(item.text);
  return out;
}

Data read_data(Reader& in) {
  Data data;
  data.type = in.peek(data.contents);
  switch (data.type) {
    case 's':
      data.text = in.s();
      break;
    case 'o':
      data.text = in.o();
      break;
    case 'b':
      data.number = in.b() ? 1 : 0;
      break;
    case 'y':
      data.number = in.y();
      break;
    case 'q':
      data.number = in.q();
      break;
    case 'i':
      data.number = static_cast<std::uint64_t>(static_cast<std::int64_t>(in.i()));
      break;
    case 'u':
      data.number = in.u();
      break;
    case 'x':
      data.number = static_cast<std::uint64_t>(in.x());
      break;
    case 't':
      data.number = in.t();
      break;
    case 'd':
      data.text = fmt::format("{}", in.d());
      break;
    case 'v': {
      const std::string contents = data.contents;
      if (!in.enter('v', contents.c_str())) return {};
      data = read_data(in);
      in.exit();
      break;
    }
    case 'a':
    case 'r':
    case 'e': {
      const std::string contents = data.contents;
      if (!in.enter(data.type, contents.c_str())) {
        data.items.clear();
        return data;
      }
      while (in.more()) data.items.push_back(read_data(in));
      in.exit();
      break;
    }
    case 0:
      break;
    default:
      in.skip(std::string(1, data.type).c_str());
      break;
  }
  return data;
}

namespace {
const Data& no_data() {
  static const Data kNone{};
  return kNone;
}
}  // namespace

const Data& Properties::data(const std::string& name) const {
  const auto found = values.find(name);
  return found == values.end() ? no_data() : found->second;
}
const std::string& Properties::text(const std::string& name) const {
  return data(name).text;
}
std::uint64_t Properties::number(const std::string& name) const {
  return data(name).number;
}
std::vector<std::string> Properties::strings(const std::string& name) const {
  return data(name).strings();
}

Properties read_properties(Reader& in) {
  Properties out;
  if (!in.enter('a', "{sv}")) return out;
  while (in.more() && in.enter('e', "sv")) {
    const std::string name = in.s();
    out.values[name] = read_data(in);
    in.exit();
  }
  in.exit();
  return out;
}

}  // namespace pidward::bus
