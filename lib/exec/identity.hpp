// Who the process will be: users and groups looked up. Internal to the layer; may block.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "exec/plan_builder.hpp"

namespace pidward::exec {

struct Identity {
  std::optional<uid_t> uid;  ///< unset: stay who we are
  std::optional<gid_t> gid;
  std::optional<std::vector<gid_t>> groups;  ///< unset: keep ours
  std::string user_name, home, shell;        ///< empty without User=
};

/// User=, Group= and SupplementaryGroups= of a unit (systemd.exec(5), "User/Group Identity").
/// Errors: no such user (217) or group (216).
CompileStatus look_up_identity(const unit::Settings& settings, Identity& identity);

/// The home directory of whoever has this number; empty where nobody knows. Asks the user database,
/// but for root.
std::string home_of(uid_t uid);

/// Groups first, then capabilities, then the user: each while there still is the right to do so.
void add_identity_steps(PlanBuilder& builder, const unit::Settings& settings,
                        const unit::ExecCommand& command, const Identity& identity);

}  // namespace pidward::exec
