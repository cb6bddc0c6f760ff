#include "sys/features.hpp"

#include <algorithm>
#include <ctime>
#include <optional>

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/cgroup.hpp"
#include "sys/check.hpp"
#include "sys/clone.hpp"
#include "sys/peer.hpp"
#include "sys/pidfd.hpp"

namespace pidward::sys {
namespace {

constexpr int kProbeExitCode = 7;

PIDWARD_CHILD_CODE int exit_at_once(void* /*argument*/) {
  return kProbeExitCode;
}

// A child that ends by itself, as far as it could be made.
struct Probe {
  ChildStack stack;
  std::optional<Child> child;
};

Result<Probe> start_probe(const CloneRequest& request) {
  Probe probe;
  PIDWARD_TRY(probe.stack, ChildStack::create(4096));
  PIDWARD_TRY(probe.child, spawn_on_stack(request, probe.stack, exit_at_once, nullptr));
  return probe;
}

// Waits for the end of a probe, which does nothing but end. The stack may not go before.
void wait_for_end(const Pidfd& pidfd) {
  pollfd watched{pidfd.get(), POLLIN, 0};
  call_retrying(SYS_ppoll, &watched, 1, nullptr, nullptr, 0);
}

// For one that the kernel collects by itself, which it does a moment after it says that it ended:
// who looks for our children next should not find it. No event tells; a second is more than enough.
void wait_until_collected(const Pidfd& pidfd) {
  constexpr timespec kPause{.tv_sec = 0, .tv_nsec = 100'000};
  for (int tries = 0; tries < 10'000 && pidfd.exists().value_or(false); ++tries) {
    call(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &kPause, nullptr);
  }
}

bool ends_as_expected(const Pidfd& pidfd) {
  const auto end = pidfd.reap();
  return end && *end && (*end)->status == ExitStatus{ExitStatus::Kind::exited, kProbeExitCode};
}

CloneRequest quiet_request() {
  CloneRequest request;
  request.exit_signal = 0;  // nobody's SIGCHLD handler hears of a probe
  return request;
}

bool can_open_by_handle(const Pidfd& self) {
  const auto handle = self.handle();
  if (!handle) return false;
  const auto again = Pidfd::from_handle(*handle);
  if (!again) return false;
  const auto first = self.inode();
  const auto second = again->inode();
  return first && second && *first == *second;
}

bool can_label(const Pidfd& self) {
  constexpr std::string_view kName = "probe";
  if (!self.set_label(kName, "1")) return false;
  const auto value = self.label(kName);
  const bool removed = self.remove_label(kName).has_value();
  return removed && value && *value == "1";
}

bool can_pass_pidfds() {
  const auto pair = make_socketpair(SOCK_DGRAM);
  const int on = 1;
  return pair && call(SYS_setsockopt, pair->first.get(), SOL_SOCKET, uapi::kSoPassPidfd, &on,
                      sizeof(on)) == 0;
}

bool can_ask_peer_pidfd() {
  const auto pair = make_socketpair(SOCK_STREAM);
  KernelFeatures assumed;
  assumed.set(Feature::peer_pidfd, FeatureState::available);
  return pair && peer_pidfd(pair->first.get(), assumed).has_value();
}

bool has_autokill() {
  CloneRequest request = quiet_request();
  // With CLONE_NNP anybody may ask for it; without, only CAP_SYS_ADMIN.
  request.extra_flags = uapi::kCloneAutoreap | uapi::kClonePidfdAutokill | uapi::kCloneNnp;
  auto probe = start_probe(request);
  if (!probe) return false;
  wait_for_end(probe->child->pidfd);
  wait_until_collected(probe->child->pidfd);
  return true;
}

struct CgroupAbilities {
  bool writable = false;
  bool clone_into = false;
  bool kill = false;
  bool psi = false;
};

CgroupAbilities probe_cgroups(bool clone3_works) {
  CgroupAbilities able;
  const auto mount = find_cgroup_mount();
  const auto path = own_cgroup_path();
  if (!mount || !*mount || !path) return able;
  const auto own = CgroupDir::open(**mount, *path);
  if (!own) return able;
  auto group = own->create_child(fmt::format("pidward-probe-{}", call(SYS_getpid)));
  if (!group) return able;
  able.psi = call(SYS_faccessat, group->get(), "memory.pressure", R_OK) == 0;
  able.writable = group->is_writable();
  if (clone3_works) {
    CloneRequest request = quiet_request();
    request.cgroup = group->get();
    if (auto probe = start_probe(request)) {
      wait_for_end(probe->child->pidfd);
      able.clone_into = ends_as_expected(probe->child->pidfd);
    }
  }
  // Last: Linux 6.18 kills whatever is cloned into a group that was ever killed before.
  able.kill = group->write("cgroup.kill", "1").has_value();
  const bool removed = group->remove().has_value();
  able.writable = able.writable && removed;
  return able;
}

// A feature that rests on another goes with it.
struct Dependency {
  Feature feature;
  Feature needs;
};
constexpr std::array kDependencies{
    Dependency{Feature::clone_into_cgroup, Feature::cgroup},
    Dependency{Feature::cgroup_kill, Feature::cgroup},
    Dependency{Feature::psi, Feature::cgroup},
    Dependency{Feature::pidfd_info, Feature::pidfs},
    Dependency{Feature::pidfd_exit_info, Feature::pidfd_info},
    Dependency{Feature::pidfs_handles, Feature::pidfs},
    Dependency{Feature::pidfs_xattrs, Feature::pidfs},
};

Result<Feature> feature_by_name(std::string_view name) {
  const auto& texts = feature_texts();
  const auto* found = std::find_if(texts.begin(), texts.end(),
                                   [&](const FeatureText& text) { return text.name == name; });
  if (found != texts.end()) return found->feature;
  std::string known;
  for (const FeatureText& text : texts) {
    known += known.empty() ? "" : ", ";
    known += text.name;
  }
  return Error(Errc::invalid_argument, fmt::format("'{}' is not a kernel feature", name))
      .advise("Known are: " + known);
}

}  // namespace

std::vector<std::string> KernelFeatures::split_names(std::string_view list) {
  std::vector<std::string> names;
  std::size_t at = 0;
  while ((at = list.find_first_not_of(", \t\n", at)) != std::string_view::npos) {
    const std::size_t end = std::min(list.find_first_of(", \t\n", at), list.size());
    names.emplace_back(list.substr(at, end - at));
    at = end;
  }
  return names;
}

Result<KernelFeatures> KernelFeatures::probe(const std::vector<std::string>& disabled) {
  KernelFeatures features;
  const auto note = [&](Feature feature, bool works) {
    features.set(feature, works ? FeatureState::available : FeatureState::missing);
  };
  std::vector<Feature> off;
  for (const std::string& name : disabled) {
    PIDWARD_TRY(const Feature feature, feature_by_name(name));
    off.push_back(feature);
  }

  const auto self = Pidfd::self();
  note(Feature::pidfd, self && self->send_signal(0));
  bool clone3_works = false;
  if (auto probe = start_probe(quiet_request())) {
    const Pidfd& pidfd = probe->child->pidfd;
    wait_for_end(pidfd);
    clone3_works = ends_as_expected(pidfd);
    const auto status = pidfd.exit_status();
    note(Feature::pidfd_exit_info,
         status && *status == ExitStatus{ExitStatus::Kind::exited, kProbeExitCode});
  }
  note(Feature::clone3, clone3_works);
  if (self) {
    const auto is_pidfs = self->is_pidfs();
    note(Feature::pidfs, is_pidfs && *is_pidfs);
    note(Feature::pidfd_info, self->info(uapi::kPidfdInfoPid).has_value());
    note(Feature::pidfs_handles, can_open_by_handle(*self));
    note(Feature::pidfs_xattrs, can_label(*self));
  }
  note(Feature::pass_pidfd, can_pass_pidfds());
  note(Feature::peer_pidfd, can_ask_peer_pidfd());
  note(Feature::proc_children,
       call(SYS_faccessat, AT_FDCWD, "/proc/thread-self/children", R_OK) == 0);
  note(Feature::autokill, clone3_works && has_autokill());
  const CgroupAbilities groups = probe_cgroups(clone3_works);
  note(Feature::cgroup, groups.writable);
  note(Feature::clone_into_cgroup, groups.clone_into);
  note(Feature::cgroup_kill, groups.kill);
  note(Feature::psi, groups.psi);

  for (const Feature feature : off) features.set(feature, FeatureState::disabled);
  for (const Dependency& pair : kDependencies) {
    if (!features.has(pair.needs) && features.has(pair.feature)) {
      features.set(pair.feature, features.state(pair.needs));
    }
  }
  return features;
}

Status KernelFeatures::check_required() const {
  for (const FeatureText& text : feature_texts()) {
    if (!text.required || has(text.feature)) continue;
    return Error(Errc::not_supported, fmt::format("This kernel lacks {} ({})", text.name,
                                                  to_string(state(text.feature))))
        .advise("pidward needs Linux 5.10 or newer");
  }
  return {};
}

}  // namespace pidward::sys
