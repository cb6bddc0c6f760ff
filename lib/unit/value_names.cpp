#include "unit/value_names.hpp"

#include <array>
#include <csignal>
#include <limits>

#include <fmt/core.h>

#include "unit/value_parsers.hpp"

namespace pidward::unit {
namespace {

struct Named {
  int number;
  std::string_view name;
};

constexpr Named kSignals[] = {
    {SIGHUP, "HUP"},   {SIGINT, "INT"},       {SIGQUIT, "QUIT"}, {SIGILL, "ILL"},
    {SIGTRAP, "TRAP"}, {SIGABRT, "ABRT"},     {SIGBUS, "BUS"},   {SIGFPE, "FPE"},
    {SIGKILL, "KILL"}, {SIGUSR1, "USR1"},     {SIGSEGV, "SEGV"}, {SIGUSR2, "USR2"},
    {SIGPIPE, "PIPE"}, {SIGALRM, "ALRM"},     {SIGTERM, "TERM"}, {SIGSTKFLT, "STKFLT"},
    {SIGCHLD, "CHLD"}, {SIGCONT, "CONT"},     {SIGSTOP, "STOP"}, {SIGTSTP, "TSTP"},
    {SIGTTIN, "TTIN"}, {SIGTTOU, "TTOU"},     {SIGURG, "URG"},   {SIGXCPU, "XCPU"},
    {SIGXFSZ, "XFSZ"}, {SIGVTALRM, "VTALRM"}, {SIGPROF, "PROF"}, {SIGWINCH, "WINCH"},
    {SIGIO, "IO"},     {SIGPWR, "PWR"},       {SIGSYS, "SYS"},   {SIGIO, "POLL"},
    {SIGABRT, "IOT"},  {SIGCHLD, "CLD"},
};

/// systemd.exec(5), "Process Exit Codes".
constexpr Named kExitStatuses[] = {{0, "SUCCESS"},
                                   {1, "FAILURE"},
                                   {2, "INVALIDARGUMENT"},
                                   {3, "NOTIMPLEMENTED"},
                                   {4, "NOPERMISSION"},
                                   {5, "NOTINSTALLED"},
                                   {6, "NOTCONFIGURED"},
                                   {7, "NOTRUNNING"},
                                   {64, "USAGE"},
                                   {65, "DATAERR"},
                                   {66, "NOINPUT"},
                                   {67, "NOUSER"},
                                   {68, "NOHOST"},
                                   {69, "UNAVAILABLE"},
                                   {70, "SOFTWARE"},
                                   {71, "OSERR"},
                                   {72, "OSFILE"},
                                   {73, "CANTCREAT"},
                                   {74, "IOERR"},
                                   {75, "TEMPFAIL"},
                                   {76, "PROTOCOL"},
                                   {77, "NOPERM"},
                                   {78, "CONFIG"},
                                   {200, "CHDIR"},
                                   {201, "NICE"},
                                   {202, "FDS"},
                                   {203, "EXEC"},
                                   {204, "MEMORY"},
                                   {205, "LIMITS"},
                                   {206, "OOM_ADJUST"},
                                   {207, "SIGNAL_MASK"},
                                   {208, "STDIN"},
                                   {209, "STDOUT"},
                                   {210, "CHROOT"},
                                   {211, "IOPRIO"},
                                   {212, "TIMERSLACK"},
                                   {213, "SECUREBITS"},
                                   {214, "SETSCHEDULER"},
                                   {215, "CPUAFFINITY"},
                                   {216, "GROUP"},
                                   {217, "USER"},
                                   {218, "CAPABILITIES"},
                                   {219, "CGROUP"},
                                   {220, "SETSID"},
                                   {221, "CONFIRM"},
                                   {222, "STDERR"},
                                   {224, "PAM"},
                                   {225, "NETWORK"},
                                   {226, "NAMESPACE"},
                                   {227, "NO_NEW_PRIVILEGES"},
                                   {228, "SECCOMP"},
                                   {229, "SELINUX_CONTEXT"},
                                   {230, "PERSONALITY"},
                                   {231, "APPARMOR"},
                                   {232, "ADDRESS_FAMILIES"},
                                   {233, "RUNTIME_DIRECTORY"},
                                   {235, "CHOWN"},
                                   {236, "SMACK_PROCESS_LABEL"},
                                   {237, "KEYRING"},
                                   {238, "STATE_DIRECTORY"},
                                   {239, "CACHE_DIRECTORY"},
                                   {240, "LOGS_DIRECTORY"},
                                   {241, "CONFIGURATION_DIRECTORY"},
                                   {242, "NUMA_POLICY"},
                                   {243, "CREDENTIALS"},
                                   {244, "BPF"},
                                   {255, "EXCEPTION"}};

/// capabilities(7), by number.
constexpr std::array<std::string_view, 41> kCapabilities{"cap_chown",
                                                         "cap_dac_override",
                                                         "cap_dac_read_search",
                                                         "cap_fowner",
                                                         "cap_fsetid",
                                                         "cap_kill",
                                                         "cap_setgid",
                                                         "cap_setuid",
                                                         "cap_setpcap",
                                                         "cap_linux_immutable",
                                                         "cap_net_bind_service",
                                                         "cap_net_broadcast",
                                                         "cap_net_admin",
                                                         "cap_net_raw",
                                                         "cap_ipc_lock",
                                                         "cap_ipc_owner",
                                                         "cap_sys_module",
                                                         "cap_sys_rawio",
                                                         "cap_sys_chroot",
                                                         "cap_sys_ptrace",
                                                         "cap_sys_pacct",
                                                         "cap_sys_admin",
                                                         "cap_sys_boot",
                                                         "cap_sys_nice",
                                                         "cap_sys_resource",
                                                         "cap_sys_time",
                                                         "cap_sys_tty_config",
                                                         "cap_mknod",
                                                         "cap_lease",
                                                         "cap_audit_write",
                                                         "cap_audit_control",
                                                         "cap_setfcap",
                                                         "cap_mac_override",
                                                         "cap_mac_admin",
                                                         "cap_syslog",
                                                         "cap_wake_alarm",
                                                         "cap_block_suspend",
                                                         "cap_audit_read",
                                                         "cap_perfmon",
                                                         "cap_bpf",
                                                         "cap_checkpoint_restore"};

char upper(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}

std::string upper(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = upper(c);
  return result;
}

std::optional<int> number_from(std::string_view text) {
  using Limits = std::numeric_limits<int>;
  const auto number = detail::parse_integer(text, Limits::min(), Limits::max());
  return number ? std::optional(static_cast<int>(*number)) : std::nullopt;
}

/// RTMIN, RTMIN+3, RTMAX-2; nothing when it is none or out of range.
std::optional<int> realtime_signal(std::string_view name) {
  if (!name.starts_with("RTMIN") && !name.starts_with("RTMAX")) return std::nullopt;
  const bool from_min = name.starts_with("RTMIN");
  const int base = from_min ? SIGRTMIN : SIGRTMAX;
  name.remove_prefix(5);
  if (name.empty()) return base;
  if (name.front() != (from_min ? '+' : '-')) return std::nullopt;
  const auto offset = number_from(name.substr(1));
  if (!offset || *offset < 0 || *offset > SIGRTMAX - SIGRTMIN) return std::nullopt;
  return from_min ? base + *offset : base - *offset;
}

}  // namespace

std::optional<int> signal_from_name(std::string_view text) {
  const std::string whole = upper(text);
  std::string_view name = whole;
  if (name.starts_with("SIG")) name.remove_prefix(3);
  for (const Named& each : kSignals) {
    if (each.name == name) return each.number;
  }
  return realtime_signal(name);
}

std::optional<int> signal_from_text(std::string_view text) {
  if (const auto number = number_from(text)) {
    if (*number < 1 || *number > SIGRTMAX) return std::nullopt;
    return number;
  }
  return signal_from_name(text);
}

std::string signal_name(int number) {
  for (const Named& each : kSignals) {
    if (each.number == number) return fmt::format("SIG{}", each.name);
  }
  if (number == SIGRTMIN) return "SIGRTMIN";
  if (number > SIGRTMIN && number <= SIGRTMAX) return fmt::format("SIGRTMIN+{}", number - SIGRTMIN);
  return fmt::format("{}", number);
}

std::optional<std::uint8_t> exit_status_from_text(std::string_view text) {
  if (const auto number = number_from(text)) {
    if (*number < 0 || *number > 255) return std::nullopt;
    return static_cast<std::uint8_t>(*number);
  }
  for (const Named& each : kExitStatuses) {
    if (each.name == text) return static_cast<std::uint8_t>(each.number);
  }
  return std::nullopt;
}

std::string_view exit_status_name(std::uint8_t status) {
  for (const Named& each : kExitStatuses) {
    if (each.number == status) return each.name;
  }
  return {};
}

std::optional<unsigned> capability_from_text(std::string_view text) {
  if (const auto number = number_from(text)) {
    if (*number < 0 || *number > 62) return std::nullopt;
    return static_cast<unsigned>(*number);
  }
  const std::string wanted = upper(text);
  for (std::size_t i = 0; i < kCapabilities.size(); ++i) {
    if (upper(kCapabilities[i]) == wanted) return static_cast<unsigned>(i);
  }
  return std::nullopt;
}

std::string capability_name(unsigned number) {
  if (number < kCapabilities.size()) return std::string(kCapabilities[number]);
  return fmt::format("{}", number);
}

}  // namespace pidward::unit
