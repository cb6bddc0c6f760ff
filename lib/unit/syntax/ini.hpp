// systemd's unit file syntax (systemd.syntax(7)): lines, comments, continuations, sections,
// assignments. Knows no directive.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace pidward::unit {

/// A place in the text. Lines and columns (in bytes) count from 1.
struct TextPosition {
  std::uint32_t line = 0;
  std::uint32_t column = 0;
};

struct IniAssignment {
  std::string_view key;
  std::string_view value;  ///< trimmed; continuation lines are joined with blanks
  TextPosition key_at;
  TextPosition value_at;
};

/// Told what the text says, from top to bottom. Views are good during the call alone.
class IniVisitor {
 public:
  virtual ~IniVisitor() = default;
  /// A "[NAME]" line.
  virtual void on_section(std::string_view name, TextPosition at) = 0;
  virtual void on_assignment(const IniAssignment& assignment) = 0;
  /// A line that is neither; reading goes on behind it. `fatal`: systemd would give up on the file
  /// here.
  virtual void on_problem(TextPosition at, bool fatal, std::string message, std::string advice) = 0;
};

/// One line, continuation lines included, may have this many bytes.
inline constexpr std::size_t kMaxIniLine = std::size_t{1024} * 1024;

void read_ini(std::string_view text, IniVisitor& visitor);

}  // namespace pidward::unit
