#include "exec/terminal.hpp"

#include <cerrno>
#include <charconv>
#include <string_view>

#include <fcntl.h>
#include <fmt/core.h>
#include <linux/vt.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include "sys/fd.hpp"

namespace pidward::exec {
namespace {

using unit::Directive;
using unit::StandardInput;

constexpr mode_t kTerminalMode = 0620;  // its user writes, the group tty may send messages

StandardInput input_kind(const unit::Settings& settings) {
  const unit::StreamTarget* const target = settings.stream(Directive::StandardInput);
  return target == nullptr ? StandardInput::null : static_cast<StandardInput>(target->kind);
}

/// Does not take the terminal and does not wait for a carrier.
Result<sys::Fd> open_terminal(const std::string& path) {
  return sys::open_path(path, O_RDWR | O_NOCTTY | O_NONBLOCK);
}

/// As a person sitting down at it expects it: cooked, echoing, nothing in the queues.
Status make_sane(int terminal) {
  termios modes{};
  if (::tcgetattr(terminal, &modes) != 0) return Error::from_errno(errno, "tcgetattr");
  modes.c_iflag &= ~static_cast<tcflag_t>(IGNBRK | BRKINT | ISTRIP | INLCR | IGNCR | IUCLC | IXOFF);
  modes.c_iflag |= ICRNL | IMAXBEL | IUTF8 | IXON;
  modes.c_oflag |= OPOST | ONLCR;
  modes.c_cflag |= CREAD;
  modes.c_lflag = ISIG | ICANON | IEXTEN | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE;
  const auto control = [](char letter) { return static_cast<cc_t>(letter - '@'); };
  modes.c_cc[VINTR] = control('C');
  modes.c_cc[VQUIT] = control('\\');
  modes.c_cc[VERASE] = 0177;
  modes.c_cc[VKILL] = control('U');
  modes.c_cc[VEOF] = control('D');
  modes.c_cc[VSTART] = control('Q');
  modes.c_cc[VSTOP] = control('S');
  modes.c_cc[VSUSP] = control('Z');
  modes.c_cc[VREPRINT] = control('R');
  modes.c_cc[VWERASE] = control('W');
  modes.c_cc[VLNEXT] = control('V');
  modes.c_cc[VEOL] = modes.c_cc[VEOL2] = 0;
  modes.c_cc[VTIME] = 0;
  modes.c_cc[VMIN] = 1;
  static_cast<void>(::ioctl(terminal, TIOCNXCL));
  if (::tcsetattr(terminal, TCSANOW, &modes) != 0) return Error::from_errno(errno, "tcsetattr");
  if (::tcflush(terminal, TCIOFLUSH) != 0) return Error::from_errno(errno, "tcflush");
  return {};
}

Status hang_up(const std::string& path) {
  PIDWARD_TRY(const sys::Fd terminal, open_terminal(path));
  if (::ioctl(terminal.get(), TIOCVHANGUP) != 0) return Error::from_errno(errno, "TIOCVHANGUP");
  return {};
}

/// The number of a virtual terminal's path; 0: it is none.
int virtual_terminal(std::string_view path) {
  constexpr std::string_view kPrefix = "/dev/tty";
  if (!path.starts_with(kPrefix)) return 0;
  path.remove_prefix(kPrefix.size());
  int number = 0;
  const auto [end, error] = std::from_chars(path.data(), path.data() + path.size(), number);
  constexpr int kMost = 63;
  const bool is_number = error == std::errc() && end == path.data() + path.size();
  return is_number && number <= kMost ? number : 0;
}

// What was on the screen and in its history is gone for whoever comes next. The kernel lets go of a
// terminal that is not in use; of any other, the one that is shown included, it is wiped.
Status disallocate(const std::string& path) {
  if (const int number = virtual_terminal(path); number > 0) {
    PIDWARD_TRY(const sys::Fd any, open_terminal("/dev/tty0"));
    if (::ioctl(any.get(), VT_DISALLOCATE, number) == 0) return {};
    if (errno != EBUSY) return Error::from_errno(errno, "VT_DISALLOCATE");
  }
  // Not a virtual one, or in use: cursor home, reset, no scroll region, clear with the history.
  constexpr std::string_view kWipe = "\033[r\033[H\033[3J\033c";
  PIDWARD_TRY(const sys::Fd terminal, sys::open_path(path, O_WRONLY | O_NOCTTY | O_NONBLOCK));
  return sys::write_all(terminal.get(), kWipe);
}

Status reset(const std::string& path) {
  PIDWARD_TRY(const sys::Fd terminal, open_terminal(path));
  return make_sane(terminal.get());
}

}  // namespace

bool reads_terminal(const unit::Settings& settings) {
  switch (input_kind(settings)) {
    case StandardInput::tty:
    case StandardInput::tty_force:
    case StandardInput::tty_fail:
      return true;
    case StandardInput::null:
    case StandardInput::data:
    case StandardInput::file:
    case StandardInput::socket:
    case StandardInput::fd:
      return false;
  }
  return false;
}

bool prepares_terminal(const unit::Settings& settings) {
  return settings.boolean(Directive::TTYVHangup) || settings.boolean(Directive::TTYReset) ||
         settings.boolean(Directive::TTYVTDisallocate);
}

std::vector<std::string> prepare_terminal(const unit::Settings& settings) {
  std::vector<std::string> complaints;
  const std::string& path = settings.string(Directive::TTYPath);
  const auto note = [&](const char* directive, const Status& status) {
    if (status) return;
    complaints.push_back(
        fmt::format("{}=: {} stays as it is: {}", directive, path, status.error().to_string()));
  };
  if (settings.boolean(Directive::TTYVHangup)) note("TTYVHangup", hang_up(path));
  if (settings.boolean(Directive::TTYReset)) note("TTYReset", reset(path));
  if (settings.boolean(Directive::TTYVTDisallocate)) note("TTYVTDisallocate", disallocate(path));
  return complaints;
}

void add_terminal_steps(PlanBuilder& builder, const unit::Settings& settings,
                        const Identity& identity) {
  const std::string& path = settings.string(Directive::TTYPath);
  TerminalMode mode = TerminalMode::wait;
  if (input_kind(settings) == StandardInput::tty_force) mode = TerminalMode::force;
  if (input_kind(settings) == StandardInput::tty_fail) mode = TerminalMode::fail;
  Step step;
  step.kind = StepKind::take_terminal;
  step.exit_code = ExitCode::standard_input;
  step.label = builder.keep(fmt::format("take the terminal {}", path));
  step.args = {reinterpret_cast<long>(builder.keep(path)), static_cast<long>(mode)};
  builder.add(step);

  winsize size{};
  size.ws_row = static_cast<unsigned short>(settings.number(Directive::TTYRows));
  size.ws_col = static_cast<unsigned short>(settings.number(Directive::TTYColumns));
  if (size.ws_row != 0 || size.ws_col != 0) {
    builder.call(ExitCode::standard_input, "set the size of the terminal", SYS_ioctl, STDIN_FILENO,
                 TIOCSWINSZ, builder.keep_blob(&size, 1));
  }
  if (!identity.uid) return;
  builder.call(ExitCode::standard_input, "give the terminal to the user", SYS_fchown, STDIN_FILENO,
               *identity.uid, -1);
  builder.call(ExitCode::standard_input, "set the mode of the terminal", SYS_fchmod, STDIN_FILENO,
               kTerminalMode);
}

void release_terminal(const unit::UnitSpec& spec) {
  prepare_terminal(spec.settings);
  if (!reads_terminal(spec.settings) || spec.settings.string(Directive::User).empty()) return;
  const auto terminal = open_terminal(spec.settings.string(Directive::TTYPath));
  if (!terminal || ::isatty(terminal->get()) == 0) return;
  static_cast<void>(::fchown(terminal->get(), 0, static_cast<gid_t>(-1)));
  static_cast<void>(::fchmod(terminal->get(), kTerminalMode));
}

bool has_terminal(const unit::UnitSpec& spec) {
  return prepares_terminal(spec.settings) ||
         (reads_terminal(spec.settings) && !spec.settings.string(Directive::User).empty());
}

}  // namespace pidward::exec
