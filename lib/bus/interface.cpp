#include "bus/interface.hpp"

#include <fmt/core.h>

namespace pidward::bus {

void Interface::add(std::span<const Method> methods) {
  for (const Method& method : methods) {
    const auto at = static_cast<std::uint32_t>(methods_.size());
    if (method_index_.emplace(method.name, at).second) methods_.push_back(method);
  }
}

void Interface::add(std::span<const Signal> signals) {
  signals_.insert(signals_.end(), signals.begin(), signals.end());
}

void Interface::add(std::span<const Property> properties) {
  for (const Property& property : properties) add(property);
}

void Interface::add(const Property& property) {
  const auto at = static_cast<std::uint32_t>(properties_.size());
  if (!property_index_.emplace(property.name, at).second) return;
  properties_.push_back(property);
  announces_ = announces_ || property.announce == Announce::emits ||
               property.announce == Announce::invalidates;
}

const Method* Interface::method(std::string_view name) const {
  const auto found = method_index_.find(name);
  return found == method_index_.end() ? nullptr : &methods_[found->second];
}

const Property* Interface::property(std::string_view name) const {
  const auto found = property_index_.find(name);
  return found == property_index_.end() ? nullptr : &properties_[found->second];
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
