// Only pidfds: no object of ours imports a function that acts on a process by number, or makes one
// without a pidfd, or a descriptor that would be inherited. Reads what the linker reads.
#include <array>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "house/sources.hpp"

namespace pidward::test {
namespace {

using Names = std::set<std::string, std::less<>>;

const Names kByNumber{"kill",  "killpg",      "tgkill",       "tkill",  "sigqueue", "wait",
                      "wait3", "wait4",       "waitpid",      "waitid", "setpgid",  "system",
                      "popen", "posix_spawn", "posix_spawnp", "fork",   "vfork",    "daemon"};
const Names kInherited{"pipe",         "dup",          "dup2",  "accept",
                       "epoll_create", "inotify_init", "creat", "creat64"};

std::vector<std::string> lines_of(const std::string& path) {
  std::istringstream text(slurp(path));
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);) {
    if (!line.empty()) lines.push_back(line);
  }
  return lines;
}

// Undefined symbols of one object, without their versions; pure code may have none.
Names imports_of(const std::string& object) {
  EXPECT_TRUE(std::filesystem::exists(object)) << object;
  const std::string command = std::string(PIDWARD_NM) + " -u -P '" + object + "'";
  FILE* output = popen(command.c_str(), "r");
  Names names;
  std::array<char, 4096> line{};
  while (output != nullptr && std::fgets(line.data(), line.size(), output) != nullptr) {
    std::string name(line.data());
    names.insert(name.substr(0, name.find_first_of(" @\n")));
  }
  EXPECT_TRUE(output != nullptr && pclose(output) == 0) << command;
  return names;
}

std::string offences(const std::string& object, const Names& forbidden) {
  const Names imports = imports_of(object);
  std::string found;
  for (const std::string& name : forbidden) {
    if (imports.contains(name)) found += object + " imports " + name + "\n";
  }
  return found;
}

TEST(Symbols, OfOurObjectsHaveNothingThatActsOnNumbers) {
  const auto objects = lines_of(PIDWARD_HOUSE_OBJECTS);
  EXPECT_GT(objects.size(), 50U);
  std::string found;
  for (const std::string& object : objects) found += offences(object, kByNumber);
  EXPECT_EQ(found, "");
}

TEST(Symbols, OfOurObjectsHaveNothingThatMakesInheritedDescriptors) {
  std::string found;
  for (const std::string& object : lines_of(PIDWARD_HOUSE_OBJECTS)) {
    // Asio compiled whole: it can accept connections its own way, which no code of ours asks it to.
    if (object.find("asio_impl") != std::string::npos) continue;
    found += offences(object, kInherited);
  }
  EXPECT_EQ(found, "");
}

TEST(Symbols, OfAnObjectThatDoesItAllAreAllFound) {
  const auto control = lines_of(PIDWARD_HOUSE_CONTROL);
  ASSERT_EQ(control.size(), 1U);
  const Names imports = imports_of(control.front());
  for (const Names* forbidden : {&kByNumber, &kInherited}) {
    for (const std::string& name : *forbidden) {
      // creat is one symbol or the other, as the object was compiled.
      if (name.starts_with("creat")) continue;
      EXPECT_TRUE(imports.contains(name)) << name;
    }
  }
  EXPECT_TRUE(imports.contains("creat") || imports.contains("creat64"));
}

}  // namespace
}  // namespace pidward::test
