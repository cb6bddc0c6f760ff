// Settings given on the command line.
#include <algorithm>

#include <fmt/core.h>

#include "bus/object_path.hpp"
#include "ctl/verbs.hpp"
#include "unit/name.hpp"

namespace pidward::ctl {
namespace {

std::vector<std::string> complaints_about(Session& session, const std::string& unit) {
  const auto found =
      session.client().property(bus::unit_path(unit), bus::kUnitInterface, "FailureMessages");
  return found ? found->strings() : std::vector<std::string>();
}

}  // namespace

std::optional<std::vector<std::pair<std::string, std::string>>> parse_assignments(
    const std::vector<std::string>& texts) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const std::string& text : texts) {
    const std::size_t equals = text.find('=');
    if (equals == 0 || equals == std::string::npos) {
      complain(fmt::format("'{}' is not Directive=Value", text));
      return std::nullopt;
    }
    out.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return out;
}

int run_set_property(Session& session) {
  const Options& options = session.options();
  if (options.names.size() < 2) {
    complain("set-property takes a unit and at least one Directive=Value");
    return kFailure;
  }
  const auto name = unit::UnitName::mangle(options.names[0]);
  if (!name) return report(name.error());
  const auto assignments = parse_assignments({options.names.begin() + 1, options.names.end()});
  if (!assignments) return kFailure;
  const std::vector<std::string> before = complaints_about(session, name->str());
  const auto answer = session.client().manager("SetUnitProperties", [&](bus::Writer& out) {
    out.s(name->str()).b(options.runtime).open_array("(sv)").open_struct("sv").s("Assignments");
    out.open_variant("a(ss)").open_array("(ss)");
    for (const auto& [directive, text] : *assignments) {
      out.open_struct("ss").s(directive).s(text).close();
    }
    out.close().close().close().close();
  });
  if (!answer) return report(answer.error());
  // What could not be put into effect.
  for (const std::string& sentence : complaints_about(session, name->str())) {
    const bool is_news = std::find(before.begin(), before.end(), sentence) == before.end();
    if (is_news && !options.quiet) fmt::print(stderr, "Warning: {}\n", sentence);
  }
  return kSuccess;
}

}  // namespace pidward::ctl
