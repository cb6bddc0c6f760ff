#include "unit/yaml/yaml_tree.hpp"

#include <exception>
#include <sstream>

#include <fmt/core.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include "unit/syntax/words.hpp"

namespace pidward::unit {
namespace {

TextPosition position_of(const YAML::Mark& mark) {
  if (mark.is_null()) return {};
  return {static_cast<std::uint32_t>(mark.line + 1), static_cast<std::uint32_t>(mark.column + 1)};
}

Error error_at(TextPosition at, std::string message, std::string advice = {}) {
  return Error(Errc::syntax, std::move(message))
      .at({{}, at.line, at.column})
      .advise(std::move(advice));
}

/// Leaves yaml-cpp's parser, which knows no other way to stop, with our own words.
struct Refused : std::exception {
  explicit Refused(Error why) : error(std::move(why)) {}
  Error error;
};

/// Builds the tree as the parser goes. Nodes under construction are on a stack, so that nothing
/// points into a vector that grows.
class TreeBuilder final : public YAML::EventHandler {
 public:
  YamlNode take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& /*mark*/) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    refuse_anchor(mark, anchor);
    finish({YamlNode::Kind::null, position_of(mark), {}, {}});
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override {
    throw Refused(error_at(position_of(mark), "an alias (*NAME) is not allowed in a unit file",
                           "Write the value again."));
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    refuse_anchor(mark, anchor);
    refuse_tag(mark, tag);
    finish({YamlNode::Kind::scalar, position_of(mark), value, {}});
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    open(YamlNode::Kind::list, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    open(YamlNode::Kind::map, mark, tag, anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  static void refuse_anchor(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor == YAML::NullAnchor) return;
    throw Refused(error_at(position_of(mark), "an anchor (&NAME) is not allowed in a unit file",
                           "Write the value twice."));
  }

  static void refuse_tag(const YAML::Mark& mark, const std::string& tag) {
    if (tag.empty() || tag == "?" || tag == "!") return;
    throw Refused(error_at(position_of(mark),
                           fmt::format("the tag '{}' is not allowed in a unit file", tag),
                           "Values are plain text."));
  }

  void open(YamlNode::Kind kind, const YAML::Mark& mark, const std::string& tag,
            YAML::anchor_t anchor) {
    refuse_anchor(mark, anchor);
    refuse_tag(mark, tag);
    if (open_.size() >= kMaxYamlDepth) {
      throw Refused(error_at(position_of(mark),
                             fmt::format("lists and maps are more than {} deep", kMaxYamlDepth)));
    }
    open_.push_back({kind, position_of(mark), {}, {}});
  }

  void close() {
    YamlNode node = std::move(open_.back());
    open_.pop_back();
    finish(std::move(node));
  }

  void finish(YamlNode node) {
    if (open_.empty()) {
      root_ = std::move(node);
    } else {
      open_.back().items.push_back(std::move(node));
    }
  }

  YamlNode root_;
  std::vector<YamlNode> open_;
};

/// The first byte a unit file must not have, as a place; line 0 when there is none.
Status check_bytes(const std::string& text) {
  std::size_t begin = 0;
  for (std::uint32_t line = 1; begin <= text.size(); ++line) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view content = std::string_view(text).substr(begin, end - begin);
    if (!is_utf8(content))
      return error_at({line, 0}, "the line is not valid UTF-8", "Save the file as UTF-8.");
    for (std::size_t i = 0; i < content.size(); ++i) {
      const auto byte = static_cast<unsigned char>(content[i]);
      if ((byte < 0x20 && byte != '\t' && byte != '\r') || byte == 0x7F) {
        return error_at({line, static_cast<std::uint32_t>(i + 1)},
                        "the line has a control character", "Is this a text file?");
      }
    }
    begin = end + 1;
  }
  return {};
}

}  // namespace

Result<YamlNode> parse_yaml(const std::string& text) {
  if (text.size() > kMaxYamlSize) return error_at({}, "the file is larger than 1 MiB");
  PIDWARD_CHECK(check_bytes(text));
  try {
    std::istringstream input(text);
    YAML::Parser parser(input);
    TreeBuilder builder;
    if (!parser.HandleNextDocument(builder)) return YamlNode();
    YamlNode root = builder.take();
    TreeBuilder second;
    if (parser.HandleNextDocument(second)) {
      return error_at(second.take().at, "a second document is not allowed in a unit file",
                      "Make it a file of its own.");
    }
    return root;
  } catch (const Refused& refused) {
    return refused.error;
  } catch (const YAML::Exception& exception) {
    return error_at(position_of(exception.mark),
                    fmt::format("this is not valid YAML: {}", exception.msg));
  } catch (const std::exception& exception) {
    return error_at({}, fmt::format("this YAML cannot be read: {}", exception.what()));
  }
}

}  // namespace pidward::unit
