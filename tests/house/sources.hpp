// The project's own source files, as text.
#pragma once

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace pidward::test {

struct SourceFile {
  std::string path;  ///< relative to the top, "lib/sys/fd.cpp"
  std::string text;
};

inline std::string slurp(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  return std::move(text).str();
}

/// All .cpp and .hpp files below lib/ and daemon/, sorted by path.
inline std::vector<SourceFile> all_sources() {
  const std::filesystem::path top = PIDWARD_SOURCE_DIR;
  std::vector<SourceFile> files;
  for (const char* folder : {"lib", "daemon"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(top / folder)) {
      const auto& path = entry.path();
      if (path.extension() != ".cpp" && path.extension() != ".hpp") continue;
      files.push_back({path.lexically_relative(top).string(), slurp(path)});
    }
  }
  std::sort(files.begin(), files.end(),
            [](const SourceFile& a, const SourceFile& b) { return a.path < b.path; });
  return files;
}

/// The same text with comments blanked out; line breaks and the insides of strings stay.
inline std::string without_comments(const std::string& text) {
  std::string code = text;
  enum class In { plain, line_comment, block_comment, string, character } in = In::plain;
  for (std::size_t i = 0; i < code.size(); ++i) {
    const char c = text[i];
    const char next = i + 1 < text.size() ? text[i + 1] : '\0';
    switch (in) {
      case In::plain:
        if (c == '/' && next == '/') in = In::line_comment;
        if (c == '/' && next == '*') in = In::block_comment;
        if (c == '"') in = In::string;
        // A quote between digits separates them.
        if (c == '\'' && (i == 0 || !std::isalnum(static_cast<unsigned char>(text[i - 1])))) {
          in = In::character;
        }
        if (in == In::line_comment || in == In::block_comment) code[i] = ' ';
        break;
      case In::line_comment:
        if (c == '\n')
          in = In::plain;
        else
          code[i] = ' ';
        break;
      case In::block_comment:
        if (c != '\n') code[i] = ' ';
        if (c == '*' && next == '/') {
          code[++i] = ' ';
          in = In::plain;
        }
        break;
      case In::string:
      case In::character:
        if (c == '\\')
          ++i;
        else if (c == (in == In::string ? '"' : '\''))
          in = In::plain;
        break;
    }
  }
  return code;
}

inline std::size_t line_of(const std::string& text, std::size_t at) {
  return 1 + static_cast<std::size_t>(
                 std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
}

}  // namespace pidward::test
