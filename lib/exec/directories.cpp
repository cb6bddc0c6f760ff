#include "exec/directories.hpp"

#include <cerrno>
#include <filesystem>
#include <system_error>

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

namespace pidward::exec {
namespace {

using unit::Directive;

struct Kind {
  Directive directive;
  Directive mode;
  const std::string Roots::*root;
  ExitCode exit_code;
  const char* variable;
  bool given_to_user;
};

const Kind kKinds[] = {
    {Directive::RuntimeDirectory, Directive::RuntimeDirectoryMode, &Roots::runtime,
     ExitCode::runtime_directory, "RUNTIME_DIRECTORY", true},
    {Directive::StateDirectory, Directive::StateDirectoryMode, &Roots::state,
     ExitCode::state_directory, "STATE_DIRECTORY", true},
    {Directive::CacheDirectory, Directive::CacheDirectoryMode, &Roots::cache,
     ExitCode::cache_directory, "CACHE_DIRECTORY", true},
    {Directive::LogsDirectory, Directive::LogsDirectoryMode, &Roots::logs, ExitCode::logs_directory,
     "LOGS_DIRECTORY", true},
    {Directive::ConfigurationDirectory, Directive::ConfigurationDirectoryMode,
     &Roots::configuration, ExitCode::configuration_directory, "CONFIGURATION_DIRECTORY", false},
};

const std::vector<unit::ExecDirectory>& entries(const unit::Settings& settings,
                                                Directive directive) {
  static const std::vector<unit::ExecDirectory> kNone;
  const unit::Value* value = settings.find(directive);
  const auto* list =
      value == nullptr ? nullptr : std::get_if<std::vector<unit::ExecDirectory>>(value);
  return list == nullptr ? kNone : *list;
}

/// Opens `name` in `parent`, making it first if need be. A link counts only if root made it.
Result<sys::Fd> open_step(int parent, const std::string& name, mode_t mode) {
  if (::mkdirat(parent, name.c_str(), mode) < 0 && errno != EEXIST)
    return Error::from_errno(errno, "mkdir");
  auto plain = sys::open_at(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (plain || (plain.error().sys_errno() != ELOOP && plain.error().sys_errno() != ENOTDIR))
    return plain;
  struct stat info {};
  if (::fstatat(parent, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0)
    return Error::from_errno(errno, "stat");
  if (!S_ISLNK(info.st_mode)) return Error::from_errno(ENOTDIR, "open");
  if (info.st_uid != 0 && info.st_uid != ::geteuid()) {
    return Error(Errc::access_denied,
                 fmt::format("'{}' is a symbolic link that root does not own", name));
  }
  return sys::open_at(parent, name, O_RDONLY | O_DIRECTORY);
}

Result<sys::Fd> open_tree(const std::string& root, const std::string& path, mode_t mode) {
  std::error_code ignored;
  std::filesystem::create_directories(root, ignored);
  PIDWARD_TRY(sys::Fd current, sys::open_path(root, O_RDONLY | O_DIRECTORY));
  constexpr mode_t kParentMode = 0755;
  std::size_t begin = 0;
  while (begin <= path.size()) {
    const std::size_t slash = path.find('/', begin);
    const std::string name = path.substr(begin, slash == std::string::npos ? slash : slash - begin);
    const bool last = slash == std::string::npos;
    if (!name.empty()) {
      PIDWARD_TRY(sys::Fd next, open_step(current.get(), name, last ? mode : kParentMode));
      current = std::move(next);
    }
    if (last) break;
    begin = slash + 1;
  }
  return current;
}

/// Gives a whole tree away, without following links and without leaving it by a rename.
Status give_tree(int directory, uid_t uid, gid_t gid) {
  if (::fchown(directory, uid, gid) < 0) return Error::from_errno(errno, "chown");
  PIDWARD_TRY(sys::Fd own, sys::open_at(directory, ".", O_RDONLY | O_DIRECTORY));
  DIR* stream = ::fdopendir(own.get());
  if (stream == nullptr) return Error::from_errno(errno, "opendir");
  static_cast<void>(own.release());
  Status status;
  while (const dirent* entry = ::readdir(stream)) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    auto child = sys::open_at(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (child) {
      status = give_tree(child->get(), uid, gid);
    } else if (::fchownat(directory, name.c_str(), uid, gid, AT_SYMLINK_NOFOLLOW) < 0 &&
               errno != ENOENT) {
      status = Error::from_errno(errno, name);
    }
    if (!status) break;
  }
  ::closedir(stream);
  return status;
}

/// What the link `link` to a directory holds: a relative path.
std::string link_target(const unit::ExecDirectory& entry, const std::string& link) {
  const std::filesystem::path parent = std::filesystem::path(link).parent_path();
  return std::filesystem::path(entry.path).lexically_relative(parent.empty() ? "." : parent);
}

bool is_link_to(const std::string& path, const std::string& target) {
  std::error_code problem;
  return std::filesystem::read_symlink(path, problem) == target && !problem;
}

Status make_one(const std::string& root, const unit::ExecDirectory& entry, mode_t mode,
                const Identity& identity, bool given_to_user) {
  PIDWARD_TRY(const sys::Fd directory, open_tree(root, entry.path, mode));
  struct stat info {};
  if (::fstat(directory.get(), &info) < 0) return Error::from_errno(errno, "stat");
  if (given_to_user && ::geteuid() == 0) {
    const uid_t uid = identity.uid.value_or(0);
    const gid_t gid = identity.gid.value_or(0);
    if (info.st_uid != uid || info.st_gid != gid)
      PIDWARD_CHECK(give_tree(directory.get(), uid, gid));
  }
  // After the change of owner, which takes set-id bits away.
  constexpr mode_t kModeBits = 07777;
  if ((info.st_mode & kModeBits) != mode && ::fchmod(directory.get(), mode) < 0) {
    return Error::from_errno(errno, "chmod");
  }
  for (const std::string& link : entry.symlinks) {
    const std::string at = root + "/" + link;
    std::error_code ignored;
    std::filesystem::create_directories(std::filesystem::path(at).parent_path(), ignored);
    const std::string target = link_target(entry, link);
    if (::symlink(target.c_str(), at.c_str()) == 0 || (errno == EEXIST && is_link_to(at, target)))
      continue;
    return Error::from_errno(errno, fmt::format("cannot make the link {}", at));
  }
  return {};
}

}  // namespace

CompileStatus make_directories(const ExecRequest& request, const Identity& identity,
                               std::vector<std::string>& environment) {
  const unit::Settings& settings = request.spec->settings;
  for (const Kind& kind : kKinds) {
    const auto& list = entries(settings, kind.directive);
    if (list.empty()) continue;
    const std::string& root = request.roots.*kind.root;
    const auto mode = static_cast<mode_t>(settings.integer(kind.mode));
    std::string joined;
    for (const unit::ExecDirectory& entry : list) {
      if (auto made = make_one(root, entry, mode, identity, kind.given_to_user); !made) {
        return CompileFailure{kind.exit_code,
                              std::move(made).error().within(fmt::format(
                                  "{}={}: cannot set up {}/{}", unit::row(kind.directive).name,
                                  entry.path, root, entry.path))};
      }
      if (!joined.empty()) joined += ':';
      joined += root + "/" + entry.path;
    }
    environment.push_back(fmt::format("{}={}", kind.variable, joined));
  }
  return std::nullopt;
}

void remove_runtime_directories(const unit::UnitSpec& spec, const Roots& roots, bool restarting) {
  if (spec.settings.preserves(Directive::RuntimeDirectoryPreserve, restarting)) return;
  for (const unit::ExecDirectory& entry : entries(spec.settings, Directive::RuntimeDirectory)) {
    std::error_code ignored;
    std::filesystem::remove_all(roots.runtime + "/" + entry.path, ignored);
    for (const std::string& link : entry.symlinks) {
      const std::string at = roots.runtime + "/" + link;
      if (is_link_to(at, link_target(entry, link))) std::filesystem::remove(at, ignored);
    }
  }
}

}  // namespace pidward::exec
