// Conditions about who we are and what we may do.
#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <vector>

#include <fmt/core.h>
#include <grp.h>
#include <linux/netlink.h>
#include <pwd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/conditions/check.hpp"
#include "runtime/conditions/words.hpp"
#include "runtime/posix_files.hpp"
#include "runtime/system_facts.hpp"
#include "sys/capability.hpp"
#include "sys/fd.hpp"

namespace pidward::runtime::conditions {
namespace {

constexpr std::uint32_t kLastSystemId = 999;

std::optional<std::uint32_t> parse_id(std::string_view text) {
  std::uint32_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return id;
}

Result<bool> user(const Question& question) {
  if (const auto id = parse_id(question.parameter)) return *id == ::getuid() || *id == ::geteuid();
  if (question.parameter == "@system") {
    return ::getuid() <= kLastSystemId || ::geteuid() <= kLastSystemId;
  }
  std::array<char, 16384> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  ::getpwnam_r(question.path().c_str(), &entry, buffer.data(), buffer.size(), &found);
  return found != nullptr && (found->pw_uid == ::getuid() || found->pw_uid == ::geteuid());
}

bool in_group(gid_t id) {
  if (id == ::getgid() || id == ::getegid()) return true;
  const int count = ::getgroups(0, nullptr);
  std::vector<gid_t> groups(static_cast<std::size_t>(std::max(0, count)));
  const int filled = ::getgroups(static_cast<int>(groups.size()), groups.data());
  if (filled < 0) return false;
  return std::find(groups.begin(), groups.begin() + filled, id) != groups.begin() + filled;
}

Result<bool> group(const Question& question) {
  if (const auto id = parse_id(question.parameter)) return in_group(*id);
  std::array<char, 65536> buffer{};
  ::group entry{};
  ::group* found = nullptr;
  ::getgrnam_r(question.path().c_str(), &entry, buffer.data(), buffer.size(), &found);
  return found != nullptr && in_group(found->gr_gid);
}

// In our bounding set: what a service of ours could be given.
Result<bool> capability(const Question& question) {
  const auto number = sys::capability_number(question.parameter);
  if (!number) {
    return Error(Errc::invalid_argument,
                 fmt::format("\"{}\" is not a capability", question.parameter));
  }
  for (const std::string& line : split_lines(sys::read_file("/proc/self/status").value_or(""))) {
    if (!line.starts_with("CapBnd:\t")) continue;
    std::uint64_t set = 0;
    std::from_chars(line.data() + 8, line.data() + line.size(), set, 16);
    return ((set >> static_cast<unsigned>(*number)) & 1U) != 0;
  }
  return false;
}

// An EFI variable is four bytes of attributes and then its value; a boolean one is a single byte.
bool efi_flag(const char* name) {
  const auto text = sys::read_file(std::string("/sys/firmware/efi/efivars/") + name);
  return text && text->size() == 5 && (*text)[4] == 1;
}

bool audit_is_there() {
  const auto socket = sys::make_socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT);
  if (socket) return true;
  const int why = socket.error().sys_errno();
  return why != EAFNOSUPPORT && why != EPROTONOSUPPORT && why != EPERM;
}

bool has_tpm2() {
  const auto devices = PosixFileSource().list("/sys/class/tpmrm");
  return devices && !devices->empty();
}

bool is_confidential_vm() {
  return exists("/dev/sev-guest") || exists("/dev/tdx_guest") ||
         exists("/sys/firmware/uv/prot_virt_guest");
}

Result<bool> security(const Question& question) {
  const std::string_view name = question.parameter;
  if (name == "selinux") return exists("/sys/fs/selinux/enforce");
  if (name == "smack") return exists("/sys/fs/smackfs");
  if (name == "apparmor") {
    return sys::read_file("/sys/module/apparmor/parameters/enabled").value_or("N").starts_with('Y');
  }
  if (name == "tomoyo") return exists("/sys/kernel/security/tomoyo/version");
  if (name == "ima") return exists("/sys/kernel/security/ima/");
  if (name == "audit") return audit_is_there();
  if (name == "uefi-secureboot") {
    return efi_flag("SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c");
  }
  if (name == "tpm2") return has_tpm2();
  if (name == "cvm") return is_confidential_vm();
  if (name == "measured-uki") {
    return exists(
        "/sys/firmware/efi/efivars/StubPcrKernelImage-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f");
  }
  return Error(Errc::invalid_argument,
               fmt::format("\"{}\" is not a security technology known here", name));
}

constexpr std::array kIdentityKinds{
    Kind{"User", user},
    Kind{"Group", group},
    Kind{"Capability", capability},
    Kind{"Security", security},
};

}  // namespace

std::span<const Kind> identity_kinds() {
  return kIdentityKinds;
}

}  // namespace pidward::runtime::conditions
