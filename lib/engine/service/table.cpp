// The table of phase.hpp, written down by happening. The compiler checks that every pair of a phase
// and a happening is there, once.
#include "engine/service/phase.hpp"

namespace pidward::engine {
namespace {

using enum Phase;

/// A set of phases, one bit each.
using Phases = std::uint32_t;
static_assert(kPhases <= 32);

template <typename... Members>
constexpr Phases only(Members... members) {
  return ((Phases{1} << static_cast<unsigned>(members)) | ...);
}

constexpr Phases kDown = only(dead, failed, auto_restart);
constexpr Phases kBeforeStart = only(clearing, condition, start_pre, idle_wait);
constexpr Phases kFinding = only(start_find, post_find);
constexpr Phases kStarting = only(start, start_find, start_post, post_find);
constexpr Phases kUp = only(running, running_find, exited);
constexpr Phases kReloading = only(reload, reload_signal, reload_notify);
constexpr Phases kStages =
    only(stop_watchdog, stop_sigterm, stop_sigkill, final_watchdog, final_sigterm, final_sigkill);
constexpr Phases kStopping = only(stop, stop_post);

struct Rule {
  Happening happening;
  Deed deed;
  Phases phases;
};

constexpr Rule kRules[] = {
    {Happening::start, Deed::begin, only(dead, failed)},
    {Happening::start, Deed::hurry_restart, only(auto_restart)},
    {Happening::start, Deed::nothing, kBeforeStart | kStarting},
    {Happening::start, Deed::impossible, kUp | kReloading | kStages | kStopping},

    {Happening::stop, Deed::abort_start, kBeforeStart | kStarting},
    {Happening::stop, Deed::begin_stop, kUp},
    {Happening::stop, Deed::abort_reload, kReloading},
    {Happening::stop, Deed::cancel_restart, only(auto_restart)},
    {Happening::stop, Deed::end_abort, only(stop_watchdog)},
    {Happening::stop, Deed::nothing,
     kStopping | only(stop_sigterm, stop_sigkill, final_watchdog, final_sigterm, final_sigkill)},
    {Happening::stop, Deed::impossible, only(dead, failed)},

    {Happening::reload, Deed::reload_begin, only(running, exited)},
    {Happening::reload, Deed::impossible,
     kDown | kBeforeStart | kFinding | kReloading | kStages | kStopping |
         only(start, start_post, running_find)},

    {Happening::spawned, Deed::start_started, only(start)},
    {Happening::spawned, Deed::stage_newcomer, kStages},
    {Happening::spawned, Deed::impossible, kDown | only(clearing, idle_wait)},
    {Happening::spawned, Deed::nothing,
     kFinding | kUp | kReloading | kStopping | only(condition, start_pre, start_post)},

    {Happening::executed, Deed::start_executed, only(start)},
    {Happening::executed, Deed::nothing,
     kDown | kBeforeStart | kFinding | kUp | kReloading | kStages | kStopping | only(start_post)},

    {Happening::main_exit, Deed::start_main_exit, only(start)},
    {Happening::main_exit, Deed::note_main_exit, kStopping | only(start_post, reload)},
    {Happening::main_exit, Deed::running_main_exit, only(running)},
    {Happening::main_exit, Deed::reload_main_exit, only(reload_signal, reload_notify)},
    {Happening::main_exit, Deed::stage_progress, kStages},
    {Happening::main_exit, Deed::impossible,
     kDown | kBeforeStart | kFinding | only(running_find, exited)},

    {Happening::control_exit, Deed::next_command,
     kStopping | only(condition, start_pre, start_post, reload)},
    {Happening::control_exit, Deed::start_control_exit, only(start)},
    {Happening::control_exit, Deed::stage_progress, kStages},
    {Happening::control_exit, Deed::impossible,
     kDown | kFinding | kUp | only(clearing, idle_wait, reload_signal, reload_notify)},

    {Happening::empty, Deed::cleared, only(clearing)},
    {Happening::empty, Deed::find_empty, kFinding},
    {Happening::empty, Deed::running_empty, only(running)},
    {Happening::empty, Deed::stage_progress, kStages},
    {Happening::empty, Deed::nothing,
     kDown | kReloading | kStopping |
         only(condition, start_pre, idle_wait, start, start_post, running_find, exited)},

    {Happening::timeout, Deed::clear_harder, only(clearing)},
    {Happening::timeout, Deed::start_timeout, kStarting | only(condition, start_pre)},
    {Happening::timeout, Deed::reload_timeout, kReloading},
    {Happening::timeout, Deed::stop_timeout, only(stop)},
    {Happening::timeout, Deed::stage_timeout, kStages},
    {Happening::timeout, Deed::stop_post_timeout, only(stop_post)},
    {Happening::timeout, Deed::impossible, kDown | kUp | only(idle_wait)},

    {Happening::restart_due, Deed::restart_now, only(auto_restart)},
    {Happening::restart_due, Deed::impossible,
     kBeforeStart | kFinding | kUp | kReloading | kStages | kStopping |
         only(dead, start, start_post, failed)},

    {Happening::watchdog_due, Deed::watchdog_missed,
     kReloading | only(start, start_post, post_find, running)},
    {Happening::watchdog_due, Deed::nothing,
     kDown | kBeforeStart | kStages | kStopping | only(start_find, running_find, exited)},

    {Happening::runtime_due, Deed::runtime_over, kReloading | only(running, running_find)},
    {Happening::runtime_due, Deed::impossible,
     kDown | kBeforeStart | kFinding | kStages | kStopping | only(start, start_post, exited)},

    {Happening::idle_due, Deed::start_spawn, only(idle_wait)},
    {Happening::idle_due, Deed::nothing,
     kDown | kFinding | kUp | kReloading | kStages | kStopping |
         only(clearing, condition, start_pre, start, start_post)},

    {Happening::ready, Deed::start_ready, only(start)},
    {Happening::ready, Deed::reload_done, only(reload_notify)},
    {Happening::ready, Deed::nothing,
     kDown | kBeforeStart | kFinding | kUp | kStages | kStopping |
         only(start_post, reload, reload_signal)},

    {Happening::reloading, Deed::reload_by_notify, only(running)},
    {Happening::reloading, Deed::reload_announced, only(reload, reload_signal)},
    {Happening::reloading, Deed::remember_notify, kStarting},
    {Happening::reloading, Deed::nothing,
     kDown | kBeforeStart | kStages | kStopping | only(running_find, exited, reload_notify)},

    {Happening::stopping, Deed::stop_by_notify, only(running)},
    {Happening::stopping, Deed::remember_notify, kStarting | kReloading},
    {Happening::stopping, Deed::nothing,
     kDown | kBeforeStart | kStages | kStopping | only(running_find, exited)},

    {Happening::main_found, Deed::found, kFinding},
    {Happening::main_found, Deed::settle_found, only(running_find)},
    {Happening::main_found, Deed::nothing,
     kDown | kBeforeStart | kReloading | kStages | kStopping |
         only(start, start_post, running, exited)},

    {Happening::main_missing, Deed::not_found, kFinding},
    {Happening::main_missing, Deed::settle_missing, only(running_find)},
    {Happening::main_missing, Deed::nothing,
     kDown | kBeforeStart | kReloading | kStages | kStopping |
         only(start, start_post, running, exited)},

    {Happening::name_owned, Deed::start_owned, only(start)},
    {Happening::name_owned, Deed::nothing,
     kDown | kBeforeStart | kFinding | kUp | kReloading | kStages | kStopping | only(start_post)},

    {Happening::name_lost, Deed::running_lost_name, only(running)},
    {Happening::name_lost, Deed::nothing,
     kDown | kBeforeStart | kFinding | kReloading | kStages | kStopping |
         only(start, start_post, running_find, exited)},

    {Happening::unheld, Deed::let_go, kBeforeStart | kStarting | kUp | kReloading},
    {Happening::unheld, Deed::let_go_of_wait, only(auto_restart)},
    {Happening::unheld, Deed::nothing, kStages | kStopping | only(dead, failed)},
    {Happening::out_of_memory, Deed::out_of_memory,
     kStarting | kUp | kReloading | only(condition, start_pre)},
    {Happening::out_of_memory, Deed::note_out_of_memory, kStages | kStopping},
    {Happening::out_of_memory, Deed::nothing, kDown | only(clearing, idle_wait)},
};

using Table = std::array<std::array<Deed, kHappenings>, kPhases>;

consteval Table make_table() {
  Table table{};
  for (const Rule& rule : kRules) {
    for (std::size_t phase = 0; phase < kPhases; ++phase) {
      if ((rule.phases >> phase) % 2 == 0) continue;
      table.at(phase).at(static_cast<std::size_t>(rule.happening)) = rule.deed;
    }
  }
  return table;
}

consteval bool every_pair_once() {
  for (std::size_t phase = 0; phase < kPhases; ++phase) {
    for (std::size_t happening = 0; happening < kHappenings; ++happening) {
      int times = 0;
      for (const Rule& rule : kRules) {
        if (static_cast<std::size_t>(rule.happening) != happening) continue;
        if ((rule.phases >> phase) % 2 != 0) ++times;
      }
      if (times != 1) return false;
    }
  }
  return true;
}

static_assert(static_cast<std::size_t>(auto_restart) + 1 == kPhases);
static_assert(static_cast<std::size_t>(Happening::out_of_memory) + 1 == kHappenings);
static_assert(every_pair_once(), "a phase and a happening without a deed, or with two");

constexpr Table kTable = make_table();

}  // namespace

Deed deed(Phase phase, Happening happening) {
  return kTable[static_cast<std::size_t>(phase)][static_cast<std::size_t>(happening)];
}

}  // namespace pidward::engine
