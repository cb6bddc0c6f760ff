#include "exec/surroundings.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <glob.h>

#include "sys/fd.hpp"
#include "unit/environment.hpp"

namespace pidward::exec {
namespace {

using unit::Directive;

constexpr const char* kDefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr std::size_t kLargestFile = 1U << 20U;

std::string_view name_of(std::string_view assignment) {
  return assignment.substr(0, assignment.find('='));
}

void assign(std::vector<std::string>& block, const std::string& assignment) {
  const std::string_view name = name_of(assignment);
  for (std::string& present : block) {
    if (name_of(present) == name) {
      present = assignment;
      return;
    }
  }
  block.push_back(assignment);
}

void assign_all(std::vector<std::string>& block, const std::vector<std::string>& assignments) {
  for (const std::string& assignment : assignments) assign(block, assignment);
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

CompileStatus read_files(const unit::Settings& settings, std::vector<std::string>& block) {
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
      auto text = sys::read_file(file, kLargestFile);
      if (!text && optional) continue;
      if (!text) {
        return CompileFailure{ExitCode::none, std::move(text).error().within(
                                                  fmt::format("EnvironmentFile={}", pattern))};
      }
      assign_all(block, unit::parse_environment_file(*text));
    }
  }
  return std::nullopt;
}

/// UnsetEnvironment=: a name removes the variable whatever its value, an assignment only that very
/// one.
void remove_unset(std::vector<std::string>& block, const std::vector<std::string>& unwanted) {
  std::erase_if(block, [&](const std::string& assignment) {
    return std::any_of(unwanted.begin(), unwanted.end(), [&](const std::string& word) {
      return word.find('=') == std::string::npos ? name_of(assignment) == word : assignment == word;
    });
  });
}

}  // namespace

std::string_view variable(const std::vector<std::string>& environment, std::string_view name) {
  for (const std::string& assignment : environment) {
    if (name_of(assignment) == name && assignment.size() > name.size()) {
      return std::string_view(assignment).substr(name.size() + 1);
    }
  }
  return {};
}

CompileStatus make_environment(const ExecRequest& request, const Identity& identity,
                               const std::vector<std::string>& directories,
                               std::vector<std::string>& environment) {
  const unit::Settings& settings = request.spec->settings;
  const std::vector<std::string>& search_path = settings.words(Directive::ExecSearchPath);
  std::string path = kDefaultPath;
  if (!search_path.empty()) path = fmt::format("{}", fmt::join(search_path, ":"));

  std::vector<std::string>& block = environment;
  if (!identity.user_name.empty()) {
    assign_all(block, {"USER=" + identity.user_name, "LOGNAME=" + identity.user_name,
                       "HOME=" + identity.home, "SHELL=" + identity.shell});
  }
  assign_all(block, directories);
  assign_all(block, request.extra_environment);
  assign_all(block, request.manager_environment);
  if (!search_path.empty() || variable(block, "PATH").empty()) assign(block, "PATH=" + path);
  for (const std::string& name : settings.words(Directive::PassEnvironment)) {
    const auto found =
        std::find_if(request.daemon_environment.begin(), request.daemon_environment.end(),
                     [&](const std::string& assignment) { return name_of(assignment) == name; });
    if (found != request.daemon_environment.end()) assign(block, *found);
  }
  assign_all(block, settings.words(Directive::Environment));
  if (auto failure = read_files(settings, block)) return failure;
  remove_unset(block, settings.words(Directive::UnsetEnvironment));
  return std::nullopt;
}

std::vector<std::string> program_directories(const ExecRequest& request,
                                             const std::vector<std::string>& environment) {
  const std::vector<std::string>& configured =
      request.spec->settings.words(Directive::ExecSearchPath);
  if (!configured.empty()) return configured;
  std::string_view rest =
      request.user_manager ? variable(environment, "PATH") : std::string_view(kDefaultPath);
  std::vector<std::string> directories;
  while (!rest.empty()) {
    const std::size_t colon = rest.find(':');
    if (colon != 0) directories.emplace_back(rest.substr(0, colon));
    rest = colon == std::string_view::npos ? std::string_view() : rest.substr(colon + 1);
  }
  return directories;
}

}  // namespace pidward::exec
