#include "unit/syntax/fragment.hpp"

#include <fmt/core.h>

#include "unit/syntax/apply.hpp"
#include "unit/syntax/ini.hpp"
#include "unit/yaml/yaml_reader.hpp"

namespace pidward::unit {
namespace {

using Severity = Diagnostic::Severity;

class IniApplier final : public IniVisitor {
 public:
  explicit IniApplier(Applier& applier) : applier_(applier) {}

  void on_section(std::string_view name, TextPosition at) override {
    section_ = parse_section(name);
    if (section_ && !applier_.has_section(*section_)) section_.reset();
    in_section_ = true;
    if (!section_) applier_.bad_section(name, at, false);
  }

  void on_assignment(const IniAssignment& assignment) override {
    if (section_) return applier_.assign(*section_, assignment, false);
    if (in_section_) return;
    applier_.report(Severity::warning, assignment.key_at,
                    fmt::format("{}= stands in front of the first section and is left out",
                                assignment.key.substr(0, 64)),
                    "Begin the file with a section such as [Unit].");
  }

  void on_problem(TextPosition at, bool fatal, std::string message, std::string advice) override {
    applier_.report(fatal ? Severity::error : Severity::warning, at, std::move(message),
                    std::move(advice));
  }

 private:
  Applier& applier_;
  bool in_section_ = false;
  std::optional<Section> section_;  ///< none: what follows is left out
};

}  // namespace

void read_fragment(const FragmentText& text, const ReadContext& context, UnitSpec& into) {
  Applier applier(context, text.path, into);
  if (text.content.size() > kMaxFragmentSize) {
    applier.report(Severity::error, {},
                   fmt::format("the file is larger than {} MiB", kMaxFragmentSize >> 20U));
    return;
  }
  if (text.yaml) {
    read_yaml(text.content, applier);
  } else {
    IniApplier visitor(applier);
    read_ini(text.content, visitor);
  }
  applier.finish();
}

void apply_assignment(Section section, std::string_view key, std::string_view value,
                      const Location& where, const ReadContext& context, UnitSpec& into) {
  Applier applier(context, where.file, into);
  const TextPosition at{where.line, where.column};
  applier.assign(section, {key, value, at, at}, context.strict);
  applier.finish();
}

}  // namespace pidward::unit
