// Why something failed, in words: results, exit statuses by name, the last log lines, what comes
// next.
#include <chrono>
#include <cstdio>
#include <thread>

#include <fmt/core.h>
#include <sys/wait.h>

#include "bus/object_path.hpp"
#include "ctl/verbs.hpp"
#include "runtime/log_reader.hpp"
#include "unit/syntax/words.hpp"
#include "unit/value_names.hpp"

namespace pidward::ctl {
namespace {

std::string_view result_sentence(const std::string& result) {
  if (result == "exit-code") return "the process exited with an error code";
  if (result == "signal") return "a fatal signal was delivered to the process";
  if (result == "core-dump") return "a fatal signal made the process dump core";
  if (result == "timeout") return "a timeout was exceeded";
  if (result == "watchdog") return "the service did not send its watchdog messages in time";
  if (result == "start-limit-hit") return "the unit was started too often in a short time";
  if (result == "resources") return "something needed for the start was not available";
  if (result == "protocol") return "the service did not do what its type promises";
  if (result == "oom-kill") return "the kernel killed a process for lack of memory";
  if (result == "exec-condition") return "an ExecCondition= command said no";
  return {};
}

/// The command that ended badly first, since what ends after it may have been ended for its sake:
/// "ExecStartPre=/bin/false".
std::string failing_step(const bus::Properties& all) {
  std::string step;
  std::uint64_t ended = UINT64_MAX;
  for (const char* list : {"ExecCondition", "ExecStartPre", "ExecStart", "ExecStartPost",
                           "ExecReload", "ExecStop", "ExecStopPost"}) {
    for (const bus::Data& command : all.data(list).items) {
      if (command.items.size() < 10 || command.items[2].number != 0) continue;  // "-": ignored
      const std::uint64_t code = command.items[8].number;
      const std::int64_t status = command.items[9].integer();
      const bool bad =
          code == CLD_KILLED || code == CLD_DUMPED || (code == CLD_EXITED && status != 0);
      const std::uint64_t when = command.items[6].number;
      if (!bad || when >= ended) continue;
      ended = when;
      std::string line;
      for (const std::string& word : command.items[1].strings())
        line += (line.empty() ? "" : " ") + word;
      step = fmt::format("{}={} ({})", list, line, exit_text(code, status));
    }
  }
  return step;
}

/// The logger is another process: gives it a moment to write what the service said up to the unit's
/// last change of state. A logger that is behind by more than that is not
/// waited for.
void await_log(const std::string& directory, const std::string& unit, std::uint64_t changed_usec) {
  constexpr int kTries = 50;
  constexpr std::chrono::milliseconds kPause(10);
  const WallTime changed{Duration(static_cast<Duration::rep>(changed_usec))};
  for (int i = 0; i < kTries; ++i) {
    const auto last = runtime::read_last_log_lines(directory, unit, 1);
    if (last && !last->empty() && last->back().time >= changed) return;
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace

std::string exit_text(std::uint64_t code, std::int64_t status) {
  if (code == CLD_EXITED) {
    const std::string_view name = unit::exit_status_name(static_cast<std::uint8_t>(status));
    return fmt::format("code=exited, status={}{}{}", status, name.empty() ? "" : "/", name);
  }
  if (code == CLD_KILLED || code == CLD_DUMPED) {
    return fmt::format("code={}, signal={}", code == CLD_KILLED ? "killed" : "dumped",
                       unit::signal_name(static_cast<int>(status)));
  }
  return "code=unknown";
}

std::string printable(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const std::size_t length = byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
    const std::string_view letter = text.substr(i, length);
    const bool is_control = letter.size() == 1 && (byte < 0x20 || byte == 0x7F) && byte != '\t';
    // U+0080 to U+009F are control characters too.
    const bool is_high_control =
        byte == 0xC2 && letter.size() == 2 && static_cast<unsigned char>(letter[1]) < 0xA0;
    if (is_control || is_high_control || !unit::is_utf8(letter)) {
      out += fmt::format("\\x{:02x}", byte);
      ++i;
    } else {
      out += letter;
      i += letter.size();
    }
  }
  return out;
}

std::string tries_text(std::uint64_t left) {
  if (left == UINT32_MAX) return "there is no limit on tries";
  if (left == 1) return "1 try is left before the start limit";
  return fmt::format("{} tries are left before the start limit", left);
}

void print_diagnostics(const bus::Data& diagnostics, Told told) {
  for (const bus::Data& row : diagnostics.items) {
    const bool problem = row.items[0].text == "error" || row.items[0].text == "warning";
    if (!problem && told == Told::problems) continue;
    const Location where{.file = row.items[1].text,
                         .line = static_cast<std::uint32_t>(row.items[2].number),
                         .column = static_cast<std::uint32_t>(row.items[3].number)};
    fmt::print(stderr, "{}: {}: {}\n", where.to_string(), row.items[0].text, row.items[4].text);
  }
}

void print_log_tail(Session& session, const std::string& unit, unsigned lines,
                    const std::string& indent, std::FILE* out) {
  if (lines == 0) return;
  const auto directory =
      session.client().property(bus::kManagerPath, bus::kManagerInterface, "LogDirectory");
  if (!directory) return;
  const auto tail = runtime::read_last_log_lines(directory->text, unit, lines);
  if (!tail) {
    fmt::print(out, "{}(the log cannot be read: {})\n", indent, tail.error().to_string());
    return;
  }
  for (const runtime::LogLine& line : *tail) {
    fmt::print(out, "{}{} {}[{}]: {}\n", indent, runtime::format_wall_time(line.time), line.source,
               line.pid, printable(line.text));
  }
}

void explain_failure(Session& session, const std::string& unit) {
  const auto all = session.client().properties(bus::unit_path(unit));
  if (!all) return;
  const std::string& load_error = all->data("LoadError").items.size() == 2
                                      ? all->data("LoadError").items[1].text
                                      : all->text("LoadError");
  if (!load_error.empty()) fmt::print(stderr, "  {}\n", load_error);
  for (const std::string& sentence : all->strings("FailureMessages"))
    fmt::print(stderr, "  {}\n", sentence);
  const std::string& result = all->text("Result");
  const std::string_view sentence = result_sentence(result);
  if (!sentence.empty()) fmt::print(stderr, "  Result: {} ({})\n", result, sentence);
  const std::string step = failing_step(*all);
  if (!step.empty()) fmt::print(stderr, "  Step: {}\n", step);
  if (!all->text("StatusText").empty()) {
    fmt::print(stderr, "  Status: \"{}\"\n", printable(all->text("StatusText")));
  }
  if (all->text("SubState") == "auto-restart") {
    fmt::print(stderr, "  It is started again: {}.\n", tries_text(all->number("StartTriesLeft")));
  }
  if (const auto directory =
          session.client().property(bus::kManagerPath, bus::kManagerInterface, "LogDirectory")) {
    await_log(directory->text, unit, all->number("StateChangeTimestamp"));
  }
  print_log_tail(session, unit, session.options().lines, "  ", stderr);
  fmt::print(stderr, "  More: pidwardctl status {0}; pidwardctl logs {0}\n", unit);
}

}  // namespace pidward::ctl
