// The table of a socket unit, by happening. The compiler checks that every pair is there, once.
#include <array>
#include <cstddef>

#include "engine/socket/machine.hpp"

namespace pidward::engine {
namespace {

using enum SocketState;

using States = std::uint32_t;

template <typename... Members>
constexpr States only(Members... members) {
  return ((States{1} << static_cast<unsigned>(members)) | ...);
}

constexpr States kDown = only(dead, failed);
constexpr States kStages = only(stop_pre_sigterm, stop_pre_sigkill, final_sigterm, final_sigkill);
constexpr States kUp = only(listening, running);
constexpr States kCommands = only(start_pre, start_post, stop_pre, stop_post);
constexpr States kStarting = only(start_pre, start, start_post);
constexpr States kStopping = only(stop_pre, stop_post) | kStages;

struct Rule {
  SocketHappening happening;
  SocketDeed deed;
  States states;
};

constexpr Rule kRules[] = {
    {SocketHappening::stop, SocketDeed::close_first, kStarting},
    {SocketHappening::stop, SocketDeed::begin_stop, kUp},
    {SocketHappening::stop, SocketDeed::nothing, kStopping},
    {SocketHappening::stop, SocketDeed::impossible, kDown},

    {SocketHappening::spawned, SocketDeed::stage_newcomer, kStages},
    {SocketHappening::spawned, SocketDeed::nothing, kCommands},
    {SocketHappening::spawned, SocketDeed::impossible, kDown | kUp | only(start)},

    {SocketHappening::control_exit, SocketDeed::next_command, kCommands},
    {SocketHappening::control_exit, SocketDeed::stage_progress, kStages},
    {SocketHappening::control_exit, SocketDeed::impossible, kDown | kUp | only(start)},

    {SocketHappening::empty, SocketDeed::stage_progress, kStages},
    {SocketHappening::empty, SocketDeed::nothing, kDown | kUp | kCommands | only(start)},

    {SocketHappening::timeout, SocketDeed::timed_out, kStarting | kStopping},
    {SocketHappening::timeout, SocketDeed::impossible, kDown | kUp},

    {SocketHappening::bound, SocketDeed::post, only(start)},
    {SocketHappening::bound, SocketDeed::nothing,
     kDown | kUp | kStopping | only(start_pre, start_post)},

    {SocketHappening::bind_failed, SocketDeed::fail_bind, only(start)},
    {SocketHappening::bind_failed, SocketDeed::nothing,
     kDown | kUp | kStopping | only(start_pre, start_post)},

    {SocketHappening::traffic, SocketDeed::trigger, only(listening)},
    {SocketHappening::traffic, SocketDeed::refuse, kDown | kStarting | kStopping | only(running)},

    {SocketHappening::service_down, SocketDeed::listen_again, only(running)},
    {SocketHappening::service_down, SocketDeed::nothing,
     kDown | kStarting | kStopping | only(listening)},

    {SocketHappening::service_up, SocketDeed::yield, only(listening)},
    {SocketHappening::service_up, SocketDeed::nothing,
     kDown | kStarting | kStopping | only(running)},
};

using Table = std::array<std::array<SocketDeed, kSocketHappenings>, kSocketStateCount>;

consteval Table make_table() {
  Table table{};
  for (const Rule& rule : kRules) {
    for (std::size_t state = 0; state < kSocketStateCount; ++state) {
      if ((rule.states >> state) % 2 == 0) continue;
      table.at(state).at(static_cast<std::size_t>(rule.happening)) = rule.deed;
    }
  }
  return table;
}

consteval bool every_pair_once() {
  for (std::size_t state = 0; state < kSocketStateCount; ++state) {
    for (std::size_t happening = 0; happening < kSocketHappenings; ++happening) {
      int times = 0;
      for (const Rule& rule : kRules) {
        const bool same = static_cast<std::size_t>(rule.happening) == happening;
        if (same && (rule.states >> state) % 2 != 0) ++times;
      }
      if (times != 1) return false;
    }
  }
  return true;
}

static_assert(static_cast<std::size_t>(failed) + 1 == kSocketStateCount);
static_assert(static_cast<std::size_t>(SocketHappening::service_up) + 1 == kSocketHappenings);
static_assert(every_pair_once(), "a state and a happening without a deed, or with two");

constexpr Table kTable = make_table();

}  // namespace

SocketDeed deed(SocketState state, SocketHappening happening) {
  return kTable[static_cast<std::size_t>(state)][static_cast<std::size_t>(happening)];
}

}  // namespace pidward::engine
