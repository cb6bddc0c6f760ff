// What kind of system this is: architecture, virtualization, release. Reads files; for start-up or
// the worker pool.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "unit/loader.hpp"

namespace pidward::runtime {

/// systemd's name of an architecture ("x86-64") from that of uname(2) ("x86_64"); empty if unknown.
std::string_view architecture_name(std::string_view machine);

/// Whether there is anything at `path`, links followed.
bool exists(const char* path);
/// A variable of our own environment; empty when it is not set.
std::string variable(const char* name);

/// What we run in, by systemd's names ("kvm", "docker"); empty: none of that kind.
struct Virtualization {
  std::string vm;
  std::string container;
  bool private_users = false;
};
const Virtualization& virtualization();

/// KEY=VALUE lines of os-release(5), quotes and escapes undone. Lines that are not of that form are
/// left out.
std::map<std::string, std::string> parse_os_release(std::string_view text);
/// /etc/os-release, or /usr/lib/os-release.
std::map<std::string, std::string> read_os_release();

/// /proc/cmdline as words, quotes undone.
std::vector<std::string> kernel_command_line();

std::string host_name();
std::string machine_id();

/// What the specifiers of systemd.unit(5) mean here.
unit::SpecifierContext specifier_context(unit::Scope scope);

}  // namespace pidward::runtime
