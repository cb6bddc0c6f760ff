#include "exec/surroundings.hpp"

#include <algorithm>
#include <array>
#include <cerrno>

#include <fcntl.h>
#include <fmt/format.h>
#include <glob.h>
#include <sys/stat.h>

#include "exec/terminal.hpp"
#include "sys/fd.hpp"
#include "unit/environment.hpp"

namespace pidward::exec {
namespace {

using unit::Directive;

constexpr std::size_t kLargestFile = 1U << 20U;

void assign_all(std::vector<std::string>& block, const std::vector<std::string>& assignments) {
  for (const std::string& assignment : assignments) unit::set_variable(block, assignment);
}

std::vector<std::string> matching_files(const std::string& pattern) {
  glob_t found{};
  std::vector<std::string> files;
  if (::glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found) == 0) {
    for (std::size_t i = 0; i < found.gl_pathc; ++i) files.emplace_back(found.gl_pathv[i]);
    std::sort(files.begin(), files.end());
  }
  ::globfree(&found);
  return files;
}

bool writes_terminal(const unit::Settings& settings, Directive directive) {
  const unit::StreamTarget* const target = settings.stream(directive);
  return target != nullptr &&
         static_cast<unit::StandardOutput>(target->kind) == unit::StandardOutput::tty;
}

bool uses_terminal(const unit::Settings& settings) {
  return reads_terminal(settings) || writes_terminal(settings, Directive::StandardOutput) ||
         writes_terminal(settings, Directive::StandardError);
}

/// What users of daemons have instead of one would only get in the way of programs that run $SHELL.
bool is_login_shell(std::string_view path) {
  constexpr std::array<std::string_view, 3> kRefusals{"nologin", "false", "true"};
  const std::string_view name = path.substr(path.rfind('/') + 1);
  return !path.empty() && std::find(kRefusals.begin(), kRefusals.end(), name) == kRefusals.end();
}

/// As systemd guesses it: the kernel's own terminals, or something serial.
std::string_view kind_of_terminal(std::string_view path) {
  constexpr std::string_view kVirtual = "/dev/tty";
  const bool is_virtual =
      path == "/dev/console" || (path.starts_with(kVirtual) && path.size() > kVirtual.size() &&
                                 path[kVirtual.size()] >= '0' && path[kVirtual.size()] <= '9');
  return is_virtual ? "linux" : "vt220";
}

/// What a person named may be a FIFO, which would hold us up until somebody writes to it: refused.
/// /dev/null is as good as an empty file.
Result<std::string> read_plain_file(const std::string& path) {
  PIDWARD_TRY(const sys::Fd file, sys::open_path(path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) {
    return Error::from_errno(errno, fmt::format("Cannot look at {}", path));
  }
  if (!S_ISREG(status.st_mode) && !S_ISCHR(status.st_mode)) {
    return Error(Errc::invalid_argument, fmt::format("{} is not a regular file", path));
  }
  auto text = sys::read_all(file.get(), kLargestFile);
  if (!text) return std::move(text).error().within(path);
  return text;
}

CompileStatus read_files(const unit::Settings& settings, std::vector<std::string>& block,
                         std::vector<std::string>& warnings) {
  for (const std::string& entry : settings.words(Directive::EnvironmentFile)) {
    const bool optional = entry.starts_with('-');
    const std::string pattern = optional ? entry.substr(1) : entry;
    const std::vector<std::string> files = matching_files(pattern);
    if (files.empty() && !optional) {
      return CompileFailure{
          ExitCode::none,
          Error(Errc::not_found, fmt::format("EnvironmentFile={}: no such file", pattern))
              .advise("Create it, or write a '-' in front of the path if it may be missing")};
    }
    for (const std::string& file : files) {
      auto text = read_plain_file(file);
      if (!text && optional) continue;
      if (!text) {
        return CompileFailure{ExitCode::none, std::move(text).error().within(
                                                  fmt::format("EnvironmentFile={}", pattern))};
      }
      unit::EnvironmentFileText parsed = unit::read_environment_file(*text, file);
      assign_all(block, parsed.assignments);
      for (const unit::Diagnostic& problem : parsed.diagnostics)
        warnings.push_back(problem.to_string());
    }
  }
  return std::nullopt;
}

}  // namespace

CompileStatus make_environment(const ExecRequest& request, const Identity& identity,
                               const std::vector<std::string>& directories,
                               std::vector<std::string>& environment,
                               std::vector<std::string>& warnings) {
  const unit::Settings& settings = request.spec->settings;
  const std::vector<std::string>& search_path = settings.words(Directive::ExecSearchPath);
  std::string path(kDefaultPath);
  if (!search_path.empty()) path = fmt::format("{}", fmt::join(search_path, ":"));

  // What somebody set for all services (set-environment) comes first: what a service is promised
  // wins.
  std::vector<std::string> block = request.manager_environment;
  assign_all(block, environment);
  if (!identity.user_name.empty()) {
    assign_all(block, {"USER=" + identity.user_name, "LOGNAME=" + identity.user_name});
    if (!identity.home.empty() && identity.home != "/")
      assign_all(block, {"HOME=" + identity.home});
    if (is_login_shell(identity.shell)) assign_all(block, {"SHELL=" + identity.shell});
  }
  assign_all(block, directories);
  assign_all(block, request.extra_environment);
  if (uses_terminal(settings)) {
    unit::set_variable(
        block, fmt::format("TERM={}", kind_of_terminal(settings.string(Directive::TTYPath))));
  }
  if (!search_path.empty() || unit::find_variable(block, "PATH").value_or("").empty())
    unit::set_variable(block, "PATH=" + path);
  for (const std::string& name : settings.words(Directive::PassEnvironment)) {
    if (const auto value = unit::find_variable(request.daemon_environment, name)) {
      unit::set_variable(block, fmt::format("{}={}", name, *value));
    }
  }
  assign_all(block, settings.words(Directive::Environment));
  if (auto failure = read_files(settings, block, warnings)) return failure;
  unit::unset_variables(block, settings.words(Directive::UnsetEnvironment));
  environment = std::move(block);
  return std::nullopt;
}

std::vector<std::string> program_directories(const ExecRequest& request,
                                             const std::vector<std::string>& environment) {
  const std::vector<std::string>& configured =
      request.spec->settings.words(Directive::ExecSearchPath);
  if (!configured.empty()) return configured;
  std::string_view rest = request.user_manager
                              ? unit::find_variable(environment, "PATH").value_or(kDefaultPath)
                              : kDefaultPath;
  std::vector<std::string> directories;
  while (!rest.empty()) {
    const std::size_t colon = rest.find(':');
    if (colon != 0) directories.emplace_back(rest.substr(0, colon));
    rest = colon == std::string_view::npos ? std::string_view() : rest.substr(colon + 1);
  }
  return directories;
}

}  // namespace pidward::exec
