// The reference page names all there is on the bus.
#include <gtest/gtest.h>

#include "bus/interface.hpp"
#include "sys/fd.hpp"

namespace pidward::bus {
namespace {

bool is_dependency(std::string_view name) {
  for (std::size_t i = 0; i < unit::kDependencies; ++i) {
    if (unit::to_string(static_cast<unit::Dependency>(i)) == name) return true;
  }
  return false;
}

void expect_named(const std::string& page, const Interface& interface) {
  for (const Method& method : interface.methods()) {
    const std::string name = "fB" + std::string(method.name);
    EXPECT_TRUE(page.find(name + "(") != std::string::npos ||
                page.find(name + "\\fR(") != std::string::npos)
        << interface.name() << "." << method.name;
  }
  for (const Signal& signal : interface.signal_rows()) {
    EXPECT_NE(page.find(std::string(signal.name) + "("), std::string::npos)
        << interface.name() << "." << signal.name;
  }
  for (const Property& property : interface.properties()) {
    // Settings and dependencies are named by the directive table.
    if (property.setting != nullptr || is_dependency(property.name)) continue;
    EXPECT_NE(page.find("\\fB" + std::string(property.name) + "\\fR"), std::string::npos)
        << interface.name() << "." << property.name;
  }
}

TEST(ReferencePage, NamesEveryMethodSignalAndProperty) {
  const auto page = sys::read_file(PIDWARD_REFERENCE_PAGE);
  ASSERT_TRUE(page) << page.error().to_string();
  const Catalogue catalogue;
  for (const auto interfaces : {catalogue.manager(), catalogue.job(), catalogue.process()}) {
    for (const Interface* interface : interfaces) expect_named(*page, *interface);
  }
  for (std::size_t i = 0; i < unit::kManagedTypes; ++i) {
    for (const Interface* interface : catalogue.unit(static_cast<unit::UnitType>(i))) {
      expect_named(*page, *interface);
    }
  }
}

}  // namespace
}  // namespace pidward::bus
