#include <array>
#include <utility>

#include "exec/plan.hpp"

namespace pidward::exec {

std::string_view to_string(ExitCode code) {
  switch (code) {
    case ExitCode::none:
      return "SUCCESS";
    case ExitCode::chdir:
      return "CHDIR";
    case ExitCode::nice:
      return "NICE";
    case ExitCode::fds:
      return "FDS";
    case ExitCode::exec:
      return "EXEC";
    case ExitCode::memory:
      return "MEMORY";
    case ExitCode::limits:
      return "LIMITS";
    case ExitCode::oom_adjust:
      return "OOM_ADJUST";
    case ExitCode::signal_mask:
      return "SIGNAL_MASK";
    case ExitCode::standard_input:
      return "STDIN";
    case ExitCode::standard_output:
      return "STDOUT";
    case ExitCode::chroot:
      return "CHROOT";
    case ExitCode::ioprio:
      return "IOPRIO";
    case ExitCode::timer_slack:
      return "TIMERSLACK";
    case ExitCode::secure_bits:
      return "SECUREBITS";
    case ExitCode::set_scheduler:
      return "SETSCHEDULER";
    case ExitCode::cpu_affinity:
      return "CPUAFFINITY";
    case ExitCode::group:
      return "GROUP";
    case ExitCode::user:
      return "USER";
    case ExitCode::capabilities:
      return "CAPABILITIES";
    case ExitCode::cgroup:
      return "CGROUP";
    case ExitCode::set_sid:
      return "SETSID";
    case ExitCode::confirm:
      return "CONFIRM";
    case ExitCode::standard_error:
      return "STDERR";
    case ExitCode::pam:
      return "PAM";
    case ExitCode::network:
      return "NETWORK";
    case ExitCode::namespaces:
      return "NAMESPACE";
    case ExitCode::no_new_privileges:
      return "NO_NEW_PRIVILEGES";
    case ExitCode::seccomp:
      return "SECCOMP";
    case ExitCode::selinux:
      return "SELINUX_CONTEXT";
    case ExitCode::personality:
      return "PERSONALITY";
    case ExitCode::apparmor:
      return "APPARMOR_PROFILE";
    case ExitCode::address_families:
      return "ADDRESS_FAMILIES";
    case ExitCode::runtime_directory:
      return "RUNTIME_DIRECTORY";
    case ExitCode::chown:
      return "CHOWN";
    case ExitCode::keyring:
      return "KEYRING";
    case ExitCode::state_directory:
      return "STATE_DIRECTORY";
    case ExitCode::cache_directory:
      return "CACHE_DIRECTORY";
    case ExitCode::logs_directory:
      return "LOGS_DIRECTORY";
    case ExitCode::configuration_directory:
      return "CONFIGURATION_DIRECTORY";
    case ExitCode::numa_policy:
      return "NUMA_POLICY";
    case ExitCode::credentials:
      return "CREDENTIALS";
  }
  return "UNKNOWN";
}

}  // namespace pidward::exec
