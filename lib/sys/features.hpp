// What this kernel can do, found out by trying, and what is done instead where it cannot.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace pidward::sys {

enum class Feature : std::uint8_t {
  pidfd,   ///< pidfd_open, pidfd_send_signal, waitid(P_PIDFD); required
  clone3,  ///< required
  cgroup,  ///< a cgroup v2 directory we may write to
  clone_into_cgroup,
  cgroup_kill,
  pidfs,  ///< unique inodes
  pidfd_info,
  pidfd_exit_info,
  pidfs_handles,
  pidfs_xattrs,
  pass_pidfd,     ///< SO_PASSPIDFD on datagrams
  peer_pidfd,     ///< SO_PEERPIDFD on connections
  proc_children,  ///< /proc/PID/task/TID/children
  psi,            ///< pressure files in cgroups
  autokill,       ///< CLONE_AUTOREAP, CLONE_PIDFD_AUTOKILL
};
inline constexpr std::size_t kFeatureCount = 15;

enum class FeatureState : std::uint8_t {
  missing,  ///< tried, and refused
  available,
  disabled,  ///< would work, or was not tried: switched off by name
};

/// The row of one feature.
struct FeatureText {
  Feature feature;
  std::string_view name;     ///< as users write it, "cgroup-kill"
  std::string_view since;    ///< Linux version it came with
  std::string_view what;     ///< one sentence
  std::string_view instead;  ///< what is done without it, one sentence
  bool required;
};

/// All of them, in the order of Feature.
const std::array<FeatureText, kFeatureCount>& feature_texts();
const FeatureText& feature_text(Feature feature);
std::string_view to_string(FeatureState state);

/// The result of the probe: a small value, copied freely.
class KernelFeatures {
 public:
  /// Nothing available; for tests that build a kernel of their own with set().
  KernelFeatures() = default;
  /// Tries everything once: starts a few short-lived children and makes and removes a cgroup of its
  /// own. Takes milliseconds; call it before the loop runs and before SIGCHLD is of interest.
  /// `disabled` names features to switch off; an unknown name is invalid_argument with the list of
  /// names.
  static Result<KernelFeatures> probe(const std::vector<std::string>& disabled = {});
  /// Splits "a,b c" into names for probe(), as PIDWARD_DISABLE_FEATURES is written.
  static std::vector<std::string> split_names(std::string_view list);

  [[nodiscard]] bool has(Feature feature) const {
    return state(feature) == FeatureState::available;
  }
  [[nodiscard]] FeatureState state(Feature feature) const {
    return states_[static_cast<std::size_t>(feature)];
  }
  void set(Feature feature, FeatureState state) {
    states_[static_cast<std::size_t>(feature)] = state;
  }
  /// An error (not_supported) that names the first required feature that is missing.
  [[nodiscard]] Status check_required() const;

 private:
  std::array<FeatureState, kFeatureCount> states_{};
};

}  // namespace pidward::sys
