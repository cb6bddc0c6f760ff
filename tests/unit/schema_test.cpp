#include "unit/schema.hpp"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "unit/directive.hpp"

namespace pidward::unit {
namespace {

/// The checked-in file, after writing it anew when PIDWARD_UPDATE_SCHEMA is set.
std::string checked_in(const std::string& name, const std::string& generated) {
  const std::string path = std::string(PIDWARD_SOURCE_DIR) + "/config/schema/" + name;
  if (std::getenv("PIDWARD_UPDATE_SCHEMA") != nullptr) std::ofstream(path) << generated;
  std::ostringstream content;
  content << std::ifstream(path).rdbuf();
  return content.str();
}

TEST(Schema, IsCheckedInAsTheTableSays) {
  EXPECT_TRUE(checked_in("unit.schema.json", unit_json_schema()) == unit_json_schema())
      << "run test_unit with PIDWARD_UPDATE_SCHEMA=1";
}

TEST(Schema, ReferenceIsCheckedInAsTheTableSays) {
  EXPECT_TRUE(checked_in("directives.md", directive_reference()) == directive_reference())
      << "run test_unit with PIDWARD_UPDATE_SCHEMA=1";
}

TEST(Schema, NamesEveryDirective) {
  const std::string schema = unit_json_schema();
  const std::string reference = directive_reference();
  for (const Row& each : directive_table()) {
    EXPECT_NE(schema.find("\"" + std::string(each.name) + "\": {"), std::string::npos) << each.name;
    EXPECT_NE(reference.find("| " + std::string(each.name) + " |"), std::string::npos) << each.name;
  }
}

}  // namespace
}  // namespace pidward::unit
