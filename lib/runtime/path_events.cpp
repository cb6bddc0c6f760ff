// What inotify says of watched paths.
#include <array>

#include <sys/inotify.h>
#include <unistd.h>

#include "runtime/path_watcher.hpp"

namespace pidward::runtime {
namespace {

using Kind = WatchedPath::Kind;

bool tells_of_change(Kind kind) {
  return kind == Kind::changed || kind == Kind::modified;
}

void judge(const inotify_event& event, const PathSetup& setup, PathFindings& findings) {
  if ((event.mask & IN_Q_OVERFLOW) != 0) findings.look_again = true;
  for (const PathWatch& watch : setup.watches) {
    if (watch.number != event.wd) continue;
    const WatchedPath& path = setup.paths[watch.path];
    const bool named = event.len > 0;
    if (watch.is_target) {
      if (tells_of_change(path.kind) && (event.mask & IN_IGNORED) == 0) {
        // Directories share their watches with those on the way through them.
        const bool write_only = (event.mask & IN_MODIFY) != 0;
        if (!write_only || path.kind == Kind::modified) findings.hit = path.path;
      } else {
        findings.look_again = true;
      }
    } else if (!named || watch.next.empty() || watch.next == &event.name[0]) {
      findings.look_again = true;
    }
  }
}

}  // namespace

PathFindings read_path_events(const PathSetup& setup) {
  PathFindings findings;
  alignas(inotify_event) std::array<char, 4096> buffer{};
  for (ssize_t length = 0;
       (length = ::read(setup.inotify.get(), buffer.data(), buffer.size())) > 0;) {
    for (std::size_t at = 0; at < static_cast<std::size_t>(length);) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);  // NOLINT
      judge(*event, setup, findings);
      at += sizeof(inotify_event) + event->len;
    }
  }
  return findings;
}

}  // namespace pidward::runtime
