#include "bus/interface.hpp"

#include <algorithm>

#include <fmt/core.h>

namespace pidward::bus {

namespace {

template <typename Row>
auto position(const std::vector<Row>& rows, const std::vector<std::uint16_t>& index,
              std::string_view name) {
  return std::ranges::lower_bound(index, name, {}, [&](std::uint16_t at) { return rows[at].name; });
}

template <typename Row>
const Row* find(const std::vector<Row>& rows, const std::vector<std::uint16_t>& index,
                std::string_view name) {
  const auto at = position(rows, index, name);
  return at != index.end() && rows[*at].name == name ? &rows[*at] : nullptr;
}

/// False: one of the same name was first.
template <typename Row>
bool insert(std::vector<Row>& rows, std::vector<std::uint16_t>& index, const Row& row) {
  const auto at = position(rows, index, row.name);
  if (at != index.end() && rows[*at].name == row.name) return false;
  index.insert(at, static_cast<std::uint16_t>(rows.size()));
  rows.push_back(row);
  return true;
}

}  // namespace

void Interface::add(std::span<const Method> methods) {
  for (const Method& method : methods) insert(methods_, method_index_, method);
}

void Interface::add(std::span<const Signal> signals) {
  signals_.insert(signals_.end(), signals.begin(), signals.end());
}

void Interface::add(std::span<const Property> properties) {
  for (const Property& property : properties) add(property);
}

void Interface::add(const Property& property) {
  if (!insert(properties_, property_index_, property)) return;
  announces_ = announces_ || property.announce == Announce::emits ||
               property.announce == Announce::invalidates;
}

void Interface::complete() {
  methods_.shrink_to_fit();
  signals_.shrink_to_fit();
  properties_.shrink_to_fit();
  method_index_.shrink_to_fit();
  property_index_.shrink_to_fit();
}

const Method* Interface::method(std::string_view name) const {
  return find(methods_, method_index_, name);
}

const Property* Interface::property(std::string_view name) const {
  return find(properties_, property_index_, name);
}

void write_properties(Writer& out, const Interface& interface, const Subject& subject,
                      bool (*select)(const Property&)) {
  for (const Property& property : interface.properties()) {
    if (!select(property)) continue;
    out.open_dict("sv").s(property.name).open_variant(std::string(property.type).c_str());
    property.write(out, subject, property.setting);
    out.close().close();
  }
}

namespace {

constexpr std::string_view kHead =
    "<!DOCTYPE node PUBLIC \"-//freedesktop//DTD D-BUS Object Introspection 1.0//EN\"\n"
    "\"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd\">\n<node>\n";
constexpr std::string_view kCommon =
    " <interface name=\"org.freedesktop.DBus.Peer\">\n"
    "  <method name=\"Ping\"/>\n"
    "  <method name=\"GetMachineId\"><arg type=\"s\" name=\"machine_uuid\" direction=\"out\"/>"
    "</method>\n </interface>\n"
    " <interface name=\"org.freedesktop.DBus.Introspectable\">\n"
    "  <method name=\"Introspect\"><arg name=\"xml_data\" type=\"s\" direction=\"out\"/>"
    "</method>\n </interface>\n"
    " <interface name=\"org.freedesktop.DBus.Properties\">\n"
    "  <method name=\"Get\"><arg name=\"interface_name\" type=\"s\" direction=\"in\"/>"
    "<arg name=\"property_name\" type=\"s\" direction=\"in\"/>"
    "<arg name=\"value\" type=\"v\" direction=\"out\"/></method>\n"
    "  <method name=\"GetAll\"><arg name=\"interface_name\" type=\"s\" direction=\"in\"/>"
    "<arg name=\"props\" type=\"a{sv}\" direction=\"out\"/></method>\n"
    "  <method name=\"Set\"><arg name=\"interface_name\" type=\"s\" direction=\"in\"/>"
    "<arg name=\"property_name\" type=\"s\" direction=\"in\"/>"
    "<arg name=\"value\" type=\"v\" direction=\"in\"/></method>\n"
    "  <signal name=\"PropertiesChanged\"><arg type=\"s\" name=\"interface_name\"/>"
    "<arg type=\"a{sv}\" name=\"changed_properties\"/>"
    "<arg type=\"as\" name=\"invalidated_properties\"/></signal>\n </interface>\n";

void arguments(std::string& xml, std::string_view types, std::string_view names,
               std::string_view direction) {
  while (!types.empty()) {
    const std::size_t length = complete_type_length(types);
    if (length == 0) return;
    const std::size_t comma = names.find(',');
    xml += fmt::format("   <arg type=\"{}\"", types.substr(0, length));
    if (!names.empty()) xml += fmt::format(" name=\"{}\"", names.substr(0, comma));
    if (!direction.empty()) xml += fmt::format(" direction=\"{}\"", direction);
    xml += "/>\n";
    types.remove_prefix(length);
    names = comma == std::string_view::npos ? std::string_view() : names.substr(comma + 1);
  }
}

std::string_view announcement(Announce announce) {
  switch (announce) {
    case Announce::never:
      return "false";
    case Announce::constant:
      return "const";
    case Announce::emits:
      return "true";
    case Announce::invalidates:
      return "invalidates";
  }
  return "false";
}

void describe(std::string& xml, const Interface& interface) {
  xml += fmt::format(" <interface name=\"{}\">\n", interface.name());
  for (const Method& method : interface.methods()) {
    xml += fmt::format("  <method name=\"{}\">\n", method.name);
    arguments(xml, method.in, method.in_names, "in");
    arguments(xml, method.out, method.out_names, "out");
    xml += "  </method>\n";
  }
  for (const Signal& signal : interface.signal_rows()) {
    xml += fmt::format("  <signal name=\"{}\">\n", signal.name);
    arguments(xml, signal.types, signal.names, "");
    xml += "  </signal>\n";
  }
  for (const Property& property : interface.properties()) {
    xml += fmt::format("  <property name=\"{}\" type=\"{}\" access=\"{}\">", property.name,
                       property.type, property.set != nullptr ? "readwrite" : "read");
    if (property.announce != Announce::emits) {
      xml += fmt::format(
          "<annotation name=\"org.freedesktop.DBus.Property.EmitsChangedSignal\" value=\"{}\"/>",
          announcement(property.announce));
    }
    xml += "</property>\n";
  }
  xml += " </interface>\n";
}

}  // namespace

std::string introspection_xml(std::span<const Interface* const> interfaces,
                              std::span<const std::string> children) {
  std::string xml(kHead);
  xml += kCommon;
  for (const Interface* interface : interfaces) describe(xml, *interface);
  for (const std::string& child : children) xml += fmt::format(" <node name=\"{}\"/>\n", child);
  xml += "</node>\n";
  return xml;
}

}  // namespace pidward::bus
