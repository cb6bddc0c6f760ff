#include "unit/spec.hpp"

#include <gmock/gmock.h>

namespace pidward::unit {
namespace {

TEST(UnitSpec, EveryDependencyHasAReverseThatLeadsBack) {
  for (std::size_t i = 0; i < kDependencies; ++i) {
    const auto kind = static_cast<Dependency>(i);
    EXPECT_EQ(reverse(reverse(kind)), kind) << to_string(kind);
    EXPECT_FALSE(to_string(kind).empty());
  }
  EXPECT_EQ(reverse(Dependency::Requires), Dependency::RequiredBy);
  EXPECT_EQ(to_string(Dependency::SliceOf), "SliceOf");
  EXPECT_EQ(to_string(Dependency::References), "References");
  EXPECT_EQ(reverse(Dependency::JoinsNamespaceOf), Dependency::JoinsNamespaceOf);
}

TEST(UnitSpec, SaysWhyItDidNotLoad) {
  UnitSpec spec(*UnitName::parse("a.service"));
  spec.load_state = LoadState::loaded;
  EXPECT_FALSE(spec.load_error());
  spec.load_state = LoadState::not_found;
  EXPECT_EQ(spec.load_error()->code(), Errc::no_such_unit);
  EXPECT_EQ(spec.load_error()->message(), "Unit a.service not found.");
  spec.load_state = LoadState::masked;
  EXPECT_EQ(spec.load_error()->code(), Errc::unit_masked);
  spec.load_state = LoadState::bad_setting;
  spec.diagnostics.push_back({Diagnostic::Severity::warning, {}, "first", {}});
  spec.diagnostics.push_back(
      {Diagnostic::Severity::error, Location{"/f", 3, 1}, "second", "do this"});
  EXPECT_EQ(spec.load_error()->code(), Errc::unit_load_failed);
  EXPECT_EQ(spec.load_error()->to_string(),
            "/f:3:1: Unit a.service has a bad unit file setting: second. do this");
}

TEST(UnitSpec, DiagnosticsReadAsACompilersDo) {
  const Diagnostic found{Diagnostic::Severity::warning, Location{"/etc/a.service", 7, 2}, "unknown",
                         "try this"};
  EXPECT_EQ(found.to_string(), "/etc/a.service:7:2: warning: unknown (try this)");
}

}  // namespace
}  // namespace pidward::unit
