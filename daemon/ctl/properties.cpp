// Settings given on the command line.
#include <algorithm>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "bus/object_path.hpp"
#include "ctl/outcome.hpp"
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

Result<std::vector<std::pair<std::string, std::string>>> parse_assignments(
    const std::vector<std::string>& texts) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const std::string& text : texts) {
    const std::size_t equals = text.find('=');
    if (equals == 0 || equals == std::string::npos) {
      return Error(Errc::invalid_argument, fmt::format("'{}' is not Directive=Value", text));
    }
    out.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return out;
}

int run_set_property(Session& session) {
  const Options& options = session.options();
  if (options.names.size() < 2) {
    return session.fail("set-property takes a unit and at least one Directive=Value");
  }
  const auto name = unit::UnitName::mangle(options.names[0]);
  if (!name) return session.fail(name.error());
  const auto assignments = parse_assignments({options.names.begin() + 1, options.names.end()});
  if (!assignments) return session.fail(assignments.error());
  const std::vector<std::string> before = complaints_about(session, name->str());
  const auto answer = session.client().manager("SetUnitProperties", [&](bus::Writer& out) {
    out.s(name->str()).b(options.runtime).open_array("(sv)").open_struct("sv").s("Assignments");
    out.open_variant("a(ss)").open_array("(ss)");
    for (const auto& [directive, text] : *assignments) {
      out.open_struct("ss").s(directive).s(text).close();
    }
    out.close().close().close().close();
  });
  if (!answer) return session.fail(answer.error());
  // What could not be put into effect.
  nlohmann::json warnings = nlohmann::json::array();
  for (const std::string& sentence : complaints_about(session, name->str())) {
    if (std::find(before.begin(), before.end(), sentence) != before.end()) continue;
    warnings.push_back(sentence);
    if (!options.quiet) fmt::print(stderr, "Warning: {}\n", sentence);
  }
  if (options.json) {
    nlohmann::json changed = nlohmann::json::array();
    for (const auto& [directive, text] : *assignments) {
      changed.push_back({{"directive", directive}, {"value", text}});
    }
    say_json({{"unit", name->str()},
              {"result", "changed"},
              {"until", options.runtime ? "next-boot" : "changed-again"},
              {"settings", changed},
              {"warnings", warnings}});
  }
  return kSuccess;
}

}  // namespace pidward::ctl
