// Bus values as JSON.
#include <nlohmann/json.hpp>

#include "ctl/verbs.hpp"

namespace pidward::ctl {
namespace {

using nlohmann::json;

json convert(const bus::Data& data) {
  switch (data.type) {
    case 'b':
      return data.number != 0;
    case 's':
    case 'o':
    case 'g':
      return data.text;
    case 'd':
      return std::stod(data.text);
    case 'a': {
      if (!data.contents.empty() && data.contents[0] == '{') {
        json object = json::object();
        for (const bus::Data& entry : data.items) {
          if (entry.items.size() == 2) object[entry.items[0].text] = convert(entry.items[1]);
        }
        return object;
      }
      json list = json::array();
      for (const bus::Data& item : data.items) list.push_back(convert(item));
      return list;
    }
    case 'r':
    case 'e': {
      json list = json::array();
      for (const bus::Data& item : data.items) list.push_back(convert(item));
      return list;
    }
    case 0:
      return nullptr;
    default:
      if (data.is_signed()) return data.integer();
      return data.number;
  }
}

constexpr auto kReplace = json::error_handler_t::replace;

}  // namespace

std::string to_json(const bus::Data& data) {
  return convert(data).dump(-1, ' ', false, kReplace);
}

std::string to_json(const bus::Properties& properties) {
  json object = json::object();
  for (const auto& [name, value] : properties.values) object[name] = convert(value);
  return object.dump(-1, ' ', false, kReplace);
}

}  // namespace pidward::ctl
