// The planned way to another pidward, after an upgrade say: the same process executes the program
// anew. It finds everything as it would after a crash, and its descriptors besides.
#include <cerrno>
#include <climits>
#include <cstdlib>

#include <fmt/core.h>
#include <sys/resource.h>
#include <unistd.h>

#include "runtime/manager_impl.hpp"
#include "sys/descriptor_reserve.hpp"

namespace pidward::runtime {
namespace {

Result<std::string> own_program() {
  std::string path(PATH_MAX, '\0');
  const ssize_t length = ::readlink("/proc/self/exe", path.data(), path.size());
  if (length < 0) return Error::from_errno(errno, "Cannot find our own program");
  path.resize(static_cast<std::size_t>(length));
  // An upgrade puts the new program in the place of the old one, which is then a deleted file.
  constexpr std::string_view kDeleted = " (deleted)";
  if (path.ends_with(kDeleted)) path.resize(path.size() - kDeleted.size());
  if (::access(path.c_str(), X_OK) != 0) {
    return Error::from_errno(errno, fmt::format("Cannot execute {}", path));
  }
  return path;
}

Result<std::vector<std::string>> own_arguments() {
  PIDWARD_TRY(std::string text, sys::read_file("/proc/self/cmdline"));
  std::vector<std::string> arguments;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\0', at), text.size());
    arguments.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return arguments;
}

}  // namespace

Status Manager::reexecute() {
  Impl& impl = *impl_;
  if (impl.wanted_exit) return Error(Errc::shutting_down, "pidward is stopping");
  PIDWARD_TRY(const std::string program, own_program());
  PIDWARD_TRY(std::vector<std::string> arguments, own_arguments());
  std::vector<char*> words;
  for (std::string& argument : arguments) words.push_back(argument.data());
  words.push_back(nullptr);
  log(LogLevel::notice, fmt::format("Executing {} anew", program));
  impl.keeper.all_changed();
  impl.tracker.keep_all(impl.kept);
  impl.logs.keep_all(impl.kept);
  impl.keeper.set(kHandoverKey, impl.kept.hand_over());
  impl.keep_manager_entry();
  impl.keeper.flush();
  if (Status kept = impl.keeper.is_kept(); !kept) {
    impl.kept.take_back();
    impl.keeper.remove_entry(kHandoverKey);
    return std::move(kept).error().within("Executing pidward anew would lose what it knows");
  }
  // NOLINTNEXTLINE(concurrency-mt-unsafe): the workers do not read the environment
  ::setenv(kHandoverVariable, std::to_string(::getpid()).c_str(), 1);
  rlimit raised{};
  ::getrlimit(RLIMIT_NOFILE, &raised);
  // The next of us is to be given what we were given.
  ::setrlimit(RLIMIT_NOFILE, &sys::raise_descriptor_limit());
  // Our signals stay blocked: what comes meanwhile waits for the next of us.
  ::execv(program.c_str(), words.data());
  // Still here: everything stays as it was.
  const int why = errno;
  ::setrlimit(RLIMIT_NOFILE, &raised);
  ::unsetenv(kHandoverVariable);  // NOLINT(concurrency-mt-unsafe)
  impl.kept.take_back();
  impl.keeper.remove_entry(kHandoverKey);
  return Error::from_errno(why, fmt::format("Cannot execute {}", program));
}

}  // namespace pidward::runtime
