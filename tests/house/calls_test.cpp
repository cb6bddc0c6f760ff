// Raw system calls leave no symbol, so the source is read for them: none acts on a process by
// number, numbers become pidfds in one place, and whatever makes a descriptor says CLOEXEC.
#include <regex>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "house/sources.hpp"

namespace pidward::test {
namespace {

std::string place(const SourceFile& file, const std::string& code, std::size_t at) {
  return file.path + ":" + std::to_string(line_of(code, at));
}

// Each match of `pattern` in the code of `file`, as "FILE:LINE: WORD\n".
std::string matches(const SourceFile& file, const std::regex& pattern) {
  const std::string code = without_comments(file.text);
  std::string found;
  for (std::sregex_iterator at(code.begin(), code.end(), pattern), end; at != end; ++at) {
    found += place(file, code, static_cast<std::size_t>(at->position())) + ": " + at->str() + "\n";
  }
  return found;
}

const std::regex& by_number() {
  static const std::regex pattern(
      "\\b(SYS_|__NR_)(kill|tkill|tgkill|wait4|waitpid|rt_sigqueueinfo|rt_tgsigqueueinfo|fork|"
      "vfork)"
      "\\b|\\b(P_PID|P_PGID)\\b");
  return pattern;
}

const std::regex& to_pidfd() {
  static const std::regex pattern("\\b(SYS_|__NR_)?pidfd_open\\b");
  return pattern;
}

// Calls that make descriptors. dup3 is left out: it puts a descriptor where a program expects it,
// which is to inherit it; open_by_handle_at and the rest take the flag like open.
std::string descriptors_without_cloexec(const SourceFile& file) {
  static const std::regex pattern(
      "\\b(SYS_|__NR_)(open|openat|socket|socketpair|pipe2|memfd_create|accept4|epoll_create1|"
      "eventfd2"
      "|timerfd_create|signalfd4|inotify_init1|fanotify_init|open_by_handle_at|open_tree|fsopen|"
      "fsmount)\\b"
      "|[^\\w:.>]::(open|open64|openat|socket|fopen)\\s*\\("
      "|\\b(socketpair|pipe2|memfd_create|accept4|epoll_create1|eventfd|timerfd_create|signalfd"
      "|inotify_init1|fopen|mkostemp|mkstemp)\\s*\\(");
  const std::string code = without_comments(file.text);
  std::string found;
  for (std::sregex_iterator at(code.begin(), code.end(), pattern), end; at != end; ++at) {
    const auto begin = static_cast<std::size_t>(at->position());
    const std::string statement = code.substr(begin, code.find(';', begin) - begin);
    if (statement.find("CLOEXEC") != std::string::npos) continue;
    // "re" and the like: fopen's own spelling of it.
    static const std::regex mode("fopen.*\"[rwa+]+e");
    if (std::regex_search(statement, mode)) continue;
    found += place(file, code, begin) + ": " + at->str() + " without CLOEXEC\n";
  }
  return found;
}

TEST(Calls, NeverActOnAProcessByNumber) {
  std::string found;
  for (const SourceFile& file : all_sources()) found += matches(file, by_number());
  EXPECT_EQ(found, "");
}

TEST(Calls, TurnNumbersIntoPidfdsInOnePlace) {
  std::string found;
  for (const SourceFile& file : all_sources()) {
    // pidward-init stands on libc alone, and opens nothing but what it is about to reap.
    if (file.path == "daemon/pidward_init.cpp") continue;
    if (file.path != "lib/sys/pidfd.cpp") found += matches(file, to_pidfd());
  }
  EXPECT_EQ(found, "");
}

TEST(Calls, MakeDescriptorsThatCloseOnExec) {
  std::string found;
  for (const SourceFile& file : all_sources()) found += descriptors_without_cloexec(file);
  EXPECT_EQ(found, "");
}

TEST(Calls, AreFoundHoweverTheyAreWritten) {
  const auto seen = [](const char* code) {
    const SourceFile file{"lib/x.cpp", code};
    return matches(file, by_number()) + descriptors_without_cloexec(file) != "";
  };
  EXPECT_TRUE(seen("raw_syscall(SYS_kill, pid, 9);"));
  EXPECT_TRUE(seen("call(__NR_tgkill, pid, pid, 9);"));
  EXPECT_TRUE(seen("call(SYS_waitid, P_PID, 1, &info, WEXITED);"));
  EXPECT_TRUE(seen("call(SYS_openat, d, p,\n  O_RDONLY);"));
  EXPECT_TRUE(seen("int fd = ::open(path, O_RDONLY);"));
  EXPECT_TRUE(seen("int fd = eventfd(0, EFD_NONBLOCK);"));
  EXPECT_TRUE(seen("auto* f = fopen(path, \"r\");"));
  EXPECT_FALSE(seen("// raw_syscall(SYS_kill, pid, 9);"));
  EXPECT_FALSE(seen("call(SYS_openat, d, p,\n  O_RDONLY | O_CLOEXEC);"));
  EXPECT_FALSE(seen("auto* f = fopen(path, \"re\");"));
  EXPECT_FALSE(seen("auto group = CgroupDir::open(mount, path);"));
}

}  // namespace
}  // namespace pidward::test
