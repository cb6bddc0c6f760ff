// A folder includes only what its row of the layer table allows: no floor looks up.
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "house/sources.hpp"

namespace pidward::test {
namespace {

using Names = std::set<std::string, std::less<>>;

struct Row {
  Names layers;     ///< folders of lib/ it may include
  Names libraries;  ///< foreign libraries, by the first component of the include; fmt is for all
  bool pure;        ///< no I/O, no clock, no thread
};

const std::map<std::string, Row, std::less<>>& table() {
  static const std::map<std::string, Row, std::less<>> rows{
      {"base", {{}, {}, true}},
      {"sys", {{"base"}, {}, false}},
      {"process", {{"base", "sys"}, {}, false}},
      {"unit", {{"base"}, {}, true}},
      {"engine", {{"base", "unit"}, {}, true}},
      {"exec", {{"base", "sys", "unit"}, {}, false}},
      {"runtime", {{"base", "sys", "process", "unit", "engine", "exec"}, {"boost"}, false}},
      {"bus",
       {{"base", "sys", "process", "unit", "engine", "exec", "runtime"},
        {"boost", "systemd"},
        false}},
      {"daemon",
       {{"base", "sys", "process", "unit", "engine", "exec", "runtime", "bus"},
        {"boost", "systemd", "nlohmann", "CLI"},
        false}},
  };
  return rows;
}

// Settings are YAML and the bus speaks JSON to people in single files, never in headers that
// spread.
bool is_allowed_in_single_files(const std::string& path, std::string_view library) {
  if (!path.ends_with(".cpp")) return false;
  if (library == "yaml-cpp") {
    return path.starts_with("lib/unit/yaml/") || path.starts_with("lib/runtime/") ||
           path.starts_with("daemon/");
  }
  if (library == "nlohmann")
    return path.starts_with("lib/runtime/") || path.starts_with("lib/bus/");
  return false;
}

// Headers that do things, as opposed to headers that describe them.
bool is_impure(std::string_view header) {
  static const Names names{"thread",     "mutex",    "condition_variable",
                           "future",     "fstream",  "filesystem",
                           "iostream",   "unistd.h", "fcntl.h",
                           "pthread.h",  "poll.h",   "dirent.h",
                           "time.h",     "ctime",    "semaphore",
                           "stop_token", "random",   "spawn.h",
                           "sched.h",    "netdb.h",  "pwd.h",
                           "grp.h"};
  return names.contains(header) || (header.starts_with("sys/") && header != "sys/types.h") ||
         header.starts_with("linux/") || header.starts_with("net/") ||
         header.starts_with("netinet/");
}

std::string layer_of(const std::string& path) {
  if (path.starts_with("daemon/")) return "daemon";
  const std::size_t end = path.find('/', 4);
  return path.substr(4, end - 4);
}

struct Include {
  std::string header;
  bool quoted;
  std::size_t line;
};

std::vector<Include> includes_of(const std::string& text) {
  std::vector<Include> includes;
  const std::string code = without_comments(text);
  std::istringstream lines(code);
  std::string line;
  for (std::size_t number = 1; std::getline(lines, line); ++number) {
    const std::size_t hash = line.find_first_not_of(" \t");
    if (hash == std::string::npos || line[hash] != '#') continue;
    const std::size_t word = line.find("include", hash);
    if (word == std::string::npos) continue;
    const std::size_t open = line.find_first_of("<\"", word);
    if (open == std::string::npos) continue;
    const std::size_t close = line.find_first_of(">\"", open + 1);
    includes.push_back({line.substr(open + 1, close - open - 1), line[open] == '"', number});
  }
  return includes;
}

// What is wrong with one include, or nothing.
std::optional<std::string> fault_of(const std::string& path, const Include& include) {
  const std::string layer = layer_of(path);
  const auto row = table().find(layer);
  if (row == table().end()) return "the folder has no row in the layer table";
  const std::string first = include.header.substr(0, include.header.find('/'));
  if (include.quoted) {
    if (layer == "daemon" && (first == "daemon" || !table().contains(first))) return std::nullopt;
    if (first == layer || row->second.layers.contains(first)) return std::nullopt;
    return layer + " may not include " + first;
  }
  static const Names kForeign{"boost", "systemd", "nlohmann", "CLI", "yaml-cpp", "gtest", "gmock"};
  if (kForeign.contains(first) && !row->second.libraries.contains(first) &&
      !is_allowed_in_single_files(path, first)) {
    return layer + " may not use " + first;
  }
  if (row->second.pure && layer != "base" && is_impure(include.header)) {
    return layer + " is pure and may not use <" + include.header + ">";
  }
  return std::nullopt;
}

std::string faults_of(const SourceFile& file) {
  std::string faults;
  for (const Include& include : includes_of(file.text)) {
    if (const auto fault = fault_of(file.path, include)) {
      faults += file.path + ":" + std::to_string(include.line) + ": " + *fault + "\n";
    }
  }
  return faults;
}

TEST(LayerRule, HoldsForEveryIncludeOfTheProject) {
  const auto sources = all_sources();
  EXPECT_GT(sources.size(), 50U);
  std::string faults;
  for (const SourceFile& file : sources) faults += faults_of(file);
  EXPECT_EQ(faults, "");
}

TEST(LayerRule, HoldsForThePureFoldersClocks) {
  std::string faults;
  for (const SourceFile& file : all_sources()) {
    if (!file.path.starts_with("lib/unit/") && !file.path.starts_with("lib/engine/")) continue;
    const std::string code = without_comments(file.text);
    for (const char* reading : {"_clock::now(", "clock_gettime", "gettimeofday", "std::time("}) {
      const std::size_t at = code.find(reading);
      if (at == std::string::npos) continue;
      faults += file.path + ":" + std::to_string(line_of(code, at)) + ": reads a clock\n";
    }
  }
  EXPECT_EQ(faults, "");
}

TEST(LayerRule, SeesAFloorThatLooksUp) {
  EXPECT_NE(faults_of({"lib/base/x.cpp", "#include \"sys/fd.hpp\"\n"}), "");
  EXPECT_NE(faults_of({"lib/engine/x.cpp", "  #  include \"exec/plan.hpp\"\n"}), "");
  EXPECT_NE(faults_of({"lib/exec/x.cpp", "#include \"process/lease.hpp\"\n"}), "");
  EXPECT_NE(faults_of({"lib/unit/x.cpp", "#include <sys/stat.h>\n"}), "");
  EXPECT_NE(faults_of({"lib/engine/x.hpp", "#include <thread>\n"}), "");
  EXPECT_NE(faults_of({"lib/exec/x.cpp", "#include <boost/asio/post.hpp>\n"}), "");
  EXPECT_NE(faults_of({"lib/unit/x.cpp", "#include <yaml-cpp/yaml.h>\n"}), "");
  EXPECT_NE(faults_of({"lib/runtime/x.hpp", "#include <nlohmann/json.hpp>\n"}), "");
  EXPECT_NE(faults_of({"lib/attic/x.cpp", "#include \"base/error.hpp\"\n"}), "");
}

TEST(LayerRule, AllowsWhatTheTableAllows) {
  EXPECT_EQ(faults_of({"lib/engine/x.cpp", "#include \"unit/spec.hpp\"\n#include <vector>\n"}), "");
  EXPECT_EQ(faults_of({"lib/unit/yaml/x.cpp", "#include <yaml-cpp/yaml.h>\n"}), "");
  EXPECT_EQ(faults_of({"lib/bus/x.cpp", "#include <systemd/sd-bus.h>\n"}), "");
  EXPECT_EQ(
      faults_of({"lib/base/x.cpp", "// #include \"sys/fd.hpp\"\n/*\n#include \"sys/fd.hpp\"\n*/"}),
      "");
}

}  // namespace
}  // namespace pidward::test
