// The search path of systemd.unit(5), "Unit File Load Path", with pidward's own directories in
// front.
#include <algorithm>
#include <utility>

#include "unit/loader.hpp"

namespace pidward::unit {
namespace {

using Directories = std::vector<std::string>;

void system_directories(const SearchPathOptions& options, SearchPath& path) {
  path.config_dir = "/etc/pidward/system";
  path.runtime_dir = "/run/pidward/system";
  path.transient_dir = "/run/pidward/transient";
  path.control_dir = "/etc/pidward/system.control";
  path.runtime_control_dir = "/run/pidward/system.control";
  path.directories = {
      path.control_dir, path.runtime_control_dir,        path.transient_dir,       path.config_dir,
      path.runtime_dir, "/usr/local/lib/pidward/system", "/usr/lib/pidward/system"};
  path.preset_dirs = {"/etc/pidward/system-preset", "/run/pidward/system-preset",
                      "/usr/local/lib/pidward/system-preset", "/usr/lib/pidward/system-preset"};
  if (!options.include_systemd) return;
  for (const char* directory :
       {"/etc/systemd/system.control", "/run/systemd/system.control",
        "/run/systemd/generator.early", "/etc/systemd/system", "/etc/systemd/system.attached",
        "/run/systemd/system", "/run/systemd/system.attached", "/run/systemd/generator",
        "/usr/local/lib/systemd/system", "/lib/systemd/system", "/usr/lib/systemd/system",
        "/run/systemd/generator.late"}) {
    path.directories.emplace_back(directory);
  }
  for (const char* directory : {"/etc/systemd/system-preset", "/run/systemd/system-preset",
                                "/usr/local/lib/systemd/system-preset",
                                "/lib/systemd/system-preset", "/usr/lib/systemd/system-preset"}) {
    path.preset_dirs.emplace_back(directory);
  }
}

/// The user twins of one supervisor's directories, highest first. `who` is "pidward" or "systemd".
Directories user_directories(const SearchPathOptions& options, const std::string& who) {
  const std::string config = options.xdg_config_home.empty() && !options.home.empty()
                                 ? options.home + "/.config"
                                 : options.xdg_config_home;
  const std::string data = options.xdg_data_home.empty() && !options.home.empty()
                               ? options.home + "/.local/share"
                               : options.xdg_data_home;
  const std::string& runtime = options.xdg_runtime_dir;
  const bool foreign = who == "systemd";
  Directories out;
  const auto add = [&](const std::string& base, const std::string& rest) {
    if (!base.empty()) out.push_back(base + "/" + who + "/" + rest);
  };
  add(config, "user.control");
  add(runtime, "user.control");
  if (foreign) {
    add(runtime, "generator.early");
  } else {
    add(runtime, "transient");
  }
  add(config, "user");
  add("/etc/xdg", "user");
  add("/etc", "user");
  add(runtime, "user");
  add("/run", "user");
  if (foreign) add(runtime, "generator");
  add(data, "user");
  for (const char* base : {"/usr/local/share", "/usr/share", "/usr/local/lib", "/usr/lib"}) {
    add(base, "user");
  }
  if (foreign) add(runtime, "generator.late");
  return out;
}

void all_user_directories(const SearchPathOptions& options, SearchPath& path) {
  path.directories = user_directories(options, "pidward");
  const std::string config =
      options.xdg_config_home.empty() ? options.home + "/.config" : options.xdg_config_home;
  const std::string& runtime = options.xdg_runtime_dir;
  path.config_dir = config + "/pidward/user";
  path.control_dir = config + "/pidward/user.control";
  if (!runtime.empty()) {
    path.runtime_dir = runtime + "/pidward/user";
    path.transient_dir = runtime + "/pidward/transient";
    path.runtime_control_dir = runtime + "/pidward/user.control";
  }
  path.preset_dirs = {config + "/pidward/user-preset", "/etc/pidward/user-preset",
                      "/run/pidward/user-preset", "/usr/local/lib/pidward/user-preset",
                      "/usr/lib/pidward/user-preset"};
  if (!options.include_systemd) return;
  const Directories foreign = user_directories(options, "systemd");
  path.directories.insert(path.directories.end(), foreign.begin(), foreign.end());
  for (const char* directory :
       {"/etc/systemd/user-preset", "/run/systemd/user-preset",
        "/usr/local/lib/systemd/user-preset", "/usr/lib/systemd/user-preset"}) {
    path.preset_dirs.emplace_back(directory);
  }
}

/// Drops repeated entries and trailing slashes, keeping the first of equals.
void tidy(Directories& directories) {
  Directories out;
  for (std::string& directory : directories) {
    while (directory.size() > 1 && directory.back() == '/') directory.pop_back();
    if (!directory.empty() && std::find(out.begin(), out.end(), directory) == out.end()) {
      out.push_back(std::move(directory));
    }
  }
  directories = std::move(out);
}

void apply_override(const std::vector<std::string>& override_path, SearchPath& path) {
  if (override_path.empty()) return;
  Directories defaults = std::exchange(path.directories, override_path);
  if (path.directories.back().empty()) {
    path.directories.pop_back();
    path.directories.insert(path.directories.end(), defaults.begin(), defaults.end());
  } else {
    path.config_dir = path.directories.front();
  }
}

void put_below(const std::string& root, SearchPath& path) {
  if (root.empty() || root == "/") return;
  path.root = root;
  while (path.root.size() > 1 && path.root.back() == '/') path.root.pop_back();
  const auto prefix = [&](std::string& directory) {
    if (!directory.empty()) directory.insert(0, path.root);
  };
  for (std::string& directory : path.directories) prefix(directory);
  for (std::string& directory : path.preset_dirs) prefix(directory);
  for (std::string* directory : {&path.config_dir, &path.runtime_dir, &path.transient_dir,
                                 &path.control_dir, &path.runtime_control_dir}) {
    prefix(*directory);
  }
}

}  // namespace

SearchPath make_search_path(const SearchPathOptions& options) {
  SearchPath path;
  if (options.scope == Scope::system) {
    system_directories(options, path);
  } else {
    all_user_directories(options, path);
  }
  apply_override(options.override_path, path);
  tidy(path.directories);
  if (path.config_dir.size() > 1 && path.config_dir.back() == '/') path.config_dir.pop_back();
  tidy(path.preset_dirs);
  put_below(options.root, path);
  return path;
}

}  // namespace pidward::unit
