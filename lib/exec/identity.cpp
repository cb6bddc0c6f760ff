#include "exec/identity.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/core.h>
#include <grp.h>
#include <linux/securebits.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/capability.hpp"

namespace pidward::exec {
namespace {

using unit::Directive;

constexpr std::size_t kLookupBuffer = 64U * 1024U;

std::optional<std::uint32_t> as_number(const std::string& text) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number == UINT32_MAX)
    return std::nullopt;
  return number;
}

CompileStatus find_user(const std::string& user, Identity& identity) {
  std::vector<char> buffer(kLookupBuffer);
  passwd entry{};
  passwd* found = nullptr;
  const auto number = as_number(user);
  const int error = number
                        ? ::getpwuid_r(*number, &entry, buffer.data(), buffer.size(), &found)
                        : ::getpwnam_r(user.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr) {
    if (number) {  // a bare number needs no entry
      identity.uid = *number;
      return std::nullopt;
    }
    Error problem = error == 0
                        ? Error(Errc::not_found, fmt::format("User=: there is no user '{}'", user))
                        : Error::from_errno(error, fmt::format("User=: cannot look up '{}'", user));
    return CompileFailure{ExitCode::user,
                          std::move(problem).advise("Create the user, or correct User=")};
  }
  identity.uid = entry.pw_uid;
  identity.gid = entry.pw_gid;
  identity.user_name = entry.pw_name;
  identity.home = entry.pw_dir;
  identity.shell = entry.pw_shell;
  return std::nullopt;
}

CompileStatus find_group(const std::string& group, const char* directive, gid_t& gid) {
  if (const auto number = as_number(group)) {
    gid = *number;
    return std::nullopt;
  }
  std::vector<char> buffer(kLookupBuffer);
  ::group entry{};
  ::group* found = nullptr;
  const int error = ::getgrnam_r(group.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr) {
    Error problem =
        error == 0
            ? Error(Errc::not_found, fmt::format("{}=: there is no group '{}'", directive, group))
            : Error::from_errno(error, fmt::format("{}=: cannot look up '{}'", directive, group));
    return CompileFailure{ExitCode::group, std::move(problem).advise(fmt::format(
                                               "Create the group, or correct {}=", directive))};
  }
  gid = entry.gr_gid;
  return std::nullopt;
}

std::vector<gid_t> groups_of(const Identity& identity) {
  int count = 64;
  std::vector<gid_t> groups(static_cast<std::size_t>(count));
  while (::getgrouplist(identity.user_name.c_str(), *identity.gid, groups.data(), &count) < 0) {
    groups.resize(static_cast<std::size_t>(count));
  }
  groups.resize(static_cast<std::size_t>(count));
  return groups;
}

void add_capability_sets(PlanBuilder& builder, const sys::Capabilities& sets, const char* label) {
  const sys::RawCapabilities raw = sys::to_raw(sets);
  const auto* header = builder.keep_blob(&raw.header, 1);
  const auto* data = builder.keep_blob(raw.data, 2);
  builder.call(ExitCode::capabilities, label, SYS_capset, header, data);
}

void add_bounding_steps(PlanBuilder& builder, const unit::Settings& settings,
                        sys::Capabilities& sets) {
  if (!settings.is_set(Directive::CapabilityBoundingSet)) return;
  const sys::CapabilitySet keep = settings.number(Directive::CapabilityBoundingSet);
  for (int capability = 0; capability <= sys::last_capability(); ++capability) {
    if ((keep >> static_cast<unsigned>(capability) & 1U) != 0) continue;
    builder.call(ExitCode::capabilities, "drop a capability from the bounding set", SYS_prctl,
                 PR_CAPBSET_DROP, capability, 0, 0, 0);
  }
  sets.inheritable &= keep;
  add_capability_sets(builder, sets, "reduce the inheritable capabilities");
}

/// Without what the bounding set keeps out, in a container say: systemd starts such a service too.
sys::CapabilitySet obtainable_ambient_set(const unit::Settings& settings) {
  sys::CapabilitySet ambient = settings.number(Directive::AmbientCapabilities);
  if (ambient == 0) return 0;
  if (settings.is_set(Directive::CapabilityBoundingSet))
    ambient &= settings.number(Directive::CapabilityBoundingSet);
  return ambient & sys::own_bounding_set();
}

void add_ambient_steps(PlanBuilder& builder, sys::CapabilitySet ambient,
                       const sys::Capabilities& permitted) {
  sys::Capabilities sets = permitted;
  sets.effective = sets.permitted;
  sets.inheritable |= ambient;
  add_capability_sets(builder, sets, "make the ambient capabilities inheritable");
  for (int capability = 0; capability <= sys::last_capability(); ++capability) {
    if ((ambient >> static_cast<unsigned>(capability) & 1U) == 0) continue;
    builder.call(ExitCode::capabilities, "raise an ambient capability", SYS_prctl, PR_CAP_AMBIENT,
                 PR_CAP_AMBIENT_RAISE, capability, 0, 0);
  }
}

}  // namespace

std::string home_of(uid_t uid) {
  if (uid == 0) return "/root";
  std::vector<char> buffer(kLookupBuffer);
  passwd entry{};
  passwd* found = nullptr;
  ::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found);
  return found == nullptr ? std::string() : std::string(entry.pw_dir);
}

CompileStatus look_up_identity(const unit::Settings& settings, Identity& identity) {
  const std::string& user = settings.string(Directive::User);
  if (!user.empty()) {
    if (auto failure = find_user(user, identity)) return failure;
  } else if (settings.boolean(Directive::DynamicUser)) {
    return CompileFailure{
        ExitCode::user,
        Error(Errc::not_supported,
              "DynamicUser= is not supported yet, and without it the service would run as root")
            .advise("Name an existing user with User=")};
  }
  const std::string& group = settings.string(Directive::Group);
  if (!group.empty()) {
    gid_t gid = 0;
    if (auto failure = find_group(group, "Group", gid)) return failure;
    identity.gid = gid;
  }
  if (!identity.user_name.empty() && identity.gid) {
    identity.groups = groups_of(identity);
  } else if (identity.uid || identity.gid) {
    identity.groups.emplace();
  }
  for (const std::string& name : settings.words(Directive::SupplementaryGroups)) {
    gid_t gid = 0;
    if (auto failure = find_group(name, "SupplementaryGroups", gid)) return failure;
    if (!identity.groups) identity.groups.emplace();
    if (std::find(identity.groups->begin(), identity.groups->end(), gid) ==
        identity.groups->end()) {
      identity.groups->push_back(gid);
    }
  }
  return std::nullopt;
}

void add_identity_steps(PlanBuilder& builder, const unit::Settings& settings,
                        const unit::ExecCommand& command, const Identity& identity) {
  const bool changes_user = !command.full_privileges && !command.no_setuid;
  // Without the right to set groups (a user's own manager) the kernel would refuse even what is so
  // already.
  const bool may_set_groups = ::geteuid() == 0;
  if (changes_user && identity.groups && may_set_groups) {
    const gid_t* groups = builder.keep_blob(identity.groups->data(), identity.groups->size());
    builder.call(ExitCode::group, "set the supplementary groups", SYS_setgroups,
                 identity.groups->size(), groups);
  }
  if (changes_user && identity.gid && *identity.gid != ::getegid()) {
    builder.call(ExitCode::group, "change the group", SYS_setresgid, *identity.gid, *identity.gid,
                 *identity.gid);
  }
  const bool leaves_user = changes_user && identity.uid && *identity.uid != ::geteuid();
  if (command.full_privileges) return;

  sys::Capabilities sets;
  if (auto own = sys::own_capabilities()) sets = *own;
  add_bounding_steps(builder, settings, sets);
  const sys::CapabilitySet ambient = obtainable_ambient_set(settings);
  const std::int64_t secure_bits = settings.integer(Directive::SecureBits);
  if (leaves_user) {
    // Both survive the change of user only if the permitted set does.
    if (ambient != 0 || secure_bits != 0) {
      builder.call(ExitCode::user, "keep capabilities across the change of user", SYS_prctl,
                   PR_SET_KEEPCAPS, 1, 0, 0, 0);
    }
    builder.call(ExitCode::user, "change the user", SYS_setresuid, *identity.uid, *identity.uid,
                 *identity.uid);
    if (secure_bits != 0 && ambient == 0) {
      sys::Capabilities again = sets;
      again.effective = again.permitted;
      add_capability_sets(builder, again, "take up the capability to set secure bits");
    }
  }
  if (ambient != 0) add_ambient_steps(builder, ambient, sets);
  if (secure_bits != 0) {
    builder.call(ExitCode::secure_bits, "set the secure bits", SYS_prctl, PR_SET_SECUREBITS,
                 secure_bits, 0, 0, 0);
  }
}

}  // namespace pidward::exec
