#include "runtime/system_facts.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

#include <fmt/core.h>
#include <grp.h>
#include <pwd.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "sys/fd.hpp"
#include "sys/proc.hpp"

namespace pidward::runtime {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 30> kArchitectures{{
    {"x86_64", "x86-64"},
    {"i386", "x86"},
    {"i486", "x86"},
    {"i586", "x86"},
    {"i686", "x86"},
    {"aarch64", "arm64"},
    {"aarch64_be", "arm64-be"},
    {"armv4l", "arm"},
    {"armv5tel", "arm"},
    {"armv6l", "arm"},
    {"armv7l", "arm"},
    {"armv8l", "arm"},
    {"armv7b", "arm-be"},
    {"ppc", "ppc"},
    {"ppcle", "ppc-le"},
    {"ppc64", "ppc64"},
    {"ppc64le", "ppc64-le"},
    {"ia64", "ia64"},
    {"parisc", "parisc"},
    {"parisc64", "parisc64"},
    {"s390", "s390"},
    {"s390x", "s390x"},
    {"sparc", "sparc"},
    {"sparc64", "sparc64"},
    {"mips", "mips"},
    {"mips64", "mips64"},
    {"alpha", "alpha"},
    {"riscv32", "riscv32"},
    {"riscv64", "riscv64"},
    {"loongarch64", "loongarch64"},
}};

std::string first_line(const std::string& path) {
  auto text = sys::read_file(path);
  if (!text) return {};
  return text->substr(0, text->find('\n'));
}

std::string or_root(const char* name, const std::string& fallback) {
  std::string value = variable(name);
  return value.starts_with('/') ? value : fallback;
}

void fill_user(unit::SpecifierContext& context) {
  context.uid = ::getuid();
  context.gid = ::getgid();
  std::array<char, 16384> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  ::getpwuid_r(context.uid, &entry, buffer.data(), buffer.size(), &found);
  context.user_name = found != nullptr ? found->pw_name : std::to_string(context.uid);
  context.home = found != nullptr ? found->pw_dir : "/";
  // A user says where home is, as to every program; the system manager does not listen.
  const char* home = context.uid == 0 ? nullptr : std::getenv("HOME");  // NOLINT: nobody sets it
  if (home != nullptr && *home == '/') context.home = home;
  context.shell = found != nullptr && *found->pw_shell != 0 ? found->pw_shell : "/bin/sh";
  group group_entry{};
  group* found_group = nullptr;
  ::getgrgid_r(context.gid, &group_entry, buffer.data(), buffer.size(), &found_group);
  context.group_name = found_group != nullptr ? found_group->gr_name : std::to_string(context.gid);
}

void fill_roots(unit::SpecifierContext& context, unit::Scope scope) {
  context.tmp_root = or_root("TMPDIR", "/tmp");
  context.var_tmp_root = or_root("TMPDIR", "/var/tmp");
  if (scope == unit::Scope::system) {
    context.runtime_root = "/run";
    context.state_root = "/var/lib";
    context.cache_root = "/var/cache";
    context.logs_root = "/var/log";
    context.config_root = "/etc";
  } else {
    context.runtime_root = or_root("XDG_RUNTIME_DIR", fmt::format("/run/user/{}", context.uid));
    context.state_root = or_root("XDG_STATE_HOME", context.home + "/.local/state");
    context.cache_root = or_root("XDG_CACHE_HOME", context.home + "/.cache");
    context.logs_root = context.state_root + "/log";
    context.config_root = or_root("XDG_CONFIG_HOME", context.home + "/.config");
  }
  context.credentials_root = context.runtime_root + "/credentials";
}

void fill_release(unit::SpecifierContext& context) {
  const auto release = read_os_release();
  const auto field = [&release](const char* key) {
    const auto found = release.find(key);
    return found == release.end() ? std::string() : found->second;
  };
  context.os_id = field("ID");
  context.os_version_id = field("VERSION_ID");
  context.os_build_id = field("BUILD_ID");
  context.os_variant_id = field("VARIANT_ID");
  context.os_image_id = field("IMAGE_ID");
  context.os_image_version = field("IMAGE_VERSION");
}

// Undoes quotes and backslashes as a shell does in an assignment.
std::string unquote(std::string_view text) {
  std::string result;
  char quote = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote == 0 && (c == '"' || c == '\'')) {
      quote = c;
    } else if (c == quote) {
      quote = 0;
    } else if (c == '\\' && quote != '\'' && i + 1 < text.size()) {
      result += text[++i];
    } else {
      result += c;
    }
  }
  return result;
}

}  // namespace

bool exists(const char* path) {
  return ::access(path, F_OK) == 0;
}

std::string variable(const char* name) {
  const char* const value =
      std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody calls setenv
  return value == nullptr ? std::string() : std::string(value);
}

std::string_view architecture_name(std::string_view machine) {
  const auto* found = std::ranges::find(kArchitectures, machine,
                                        &std::pair<std::string_view, std::string_view>::first);
  return found == kArchitectures.end() ? std::string_view{} : found->second;
}

std::map<std::string, std::string> parse_os_release(std::string_view text) {
  std::map<std::string, std::string> fields;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    while (!line.empty() && (line.back() == ' ' || line.back() == '\r' || line.back() == '\t')) {
      line.remove_suffix(1);
    }
    const std::size_t equals = line.find('=');
    if (line.starts_with('#') || equals == std::string_view::npos || equals == 0) continue;
    fields[std::string(line.substr(0, equals))] = unquote(line.substr(equals + 1));
  }
  return fields;
}

std::map<std::string, std::string> read_os_release() {
  for (const char* path : {"/etc/os-release", "/usr/lib/os-release"}) {
    if (const auto text = sys::read_file(path)) return parse_os_release(*text);
  }
  return {};
}

std::vector<std::string> kernel_command_line() {
  const std::string line = first_line("/proc/cmdline");
  std::vector<std::string> words;
  std::string word;
  char quote = 0;
  for (const char c : line + " ") {
    if (quote != 0 ? c == quote : (c == '"' || c == '\'')) {
      quote = quote != 0 ? '\0' : c;
    } else if (quote == 0 && (c == ' ' || c == '\t')) {
      if (!word.empty()) words.push_back(std::exchange(word, {}));
    } else {
      word += c;
    }
  }
  return words;
}

std::string host_name() {
  utsname names{};
  return ::uname(&names) == 0 ? names.nodename : "localhost";
}

std::string machine_id() {
  return first_line("/etc/machine-id");
}

unit::SpecifierContext specifier_context(unit::Scope scope) {
  unit::SpecifierContext context;
  utsname names{};
  if (::uname(&names) == 0) {
    context.architecture = architecture_name(names.machine);
    context.kernel_release = names.release;
    context.host_name = names.nodename;
  }
  context.short_host_name = context.host_name.substr(0, context.host_name.find('.'));
  const auto machine_info = parse_os_release(sys::read_file("/etc/machine-info").value_or(""));
  const auto pretty = machine_info.find("PRETTY_HOSTNAME");
  context.pretty_host_name = pretty == machine_info.end() ? context.host_name : pretty->second;
  context.machine_id = machine_id();
  // %b has no dashes; the kernel writes some.
  context.boot_id = sys::boot_id().value_or("");
  std::erase(context.boot_id, '-');
  fill_user(context);
  fill_roots(context, scope);
  fill_release(context);
  return context;
}

}  // namespace pidward::runtime
