// What an entry of the process table costs: memory, coming in, being found by descriptor, and going
// with its last handle, from 100 to 100,000 entries. Reports; asserts nothing.
//
// Each size is measured several times after a warm-up, small ones more often than large ones, and
// the best of what an operation took is shown: what else the machine does lengthens rounds and
// shortens none. The JSON has the medians beside it.
//
// So many descriptors and processes are more than most machines allow, so the kernel's answers
// about a descriptor come from a stand-in; `--real N` measures N real processes beside them.
//   bench-processes [--real N] [--json]
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <fmt/core.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "process/process_table.hpp"
#include "sys/clone.hpp"
#include "sys/kernel.hpp"

namespace {

using namespace pidward;

constexpr int kFirstFake = 1 << 20;

/// Answers for descriptors that do not exist: number kFirstFake + N is a pidfd of process N.
class StandIn final : public sys::Kernel {
 public:
  long syscall(long number, const sys::SyscallArguments& arguments) override {
    const long fd = arguments[0];
    if (fd < kFirstFake) return Kernel::syscall(number, arguments);
    switch (number) {
      case SYS_close:
        return 0;
      case SYS_fstat: {
        auto* found = reinterpret_cast<struct stat*>(arguments[1]);
        *found = {};
        found->st_ino = static_cast<ino_t>(fd);
        return 0;
      }
      case SYS_fstatfs: {
        auto* found = reinterpret_cast<struct statfs*>(arguments[1]);
        *found = {};
        found->f_type = sys::uapi::kPidFsMagic;
        return 0;
      }
      case SYS_ioctl: {
        auto* info = reinterpret_cast<sys::uapi::PidfdInfo*>(arguments[2]);
        info->pid = info->tgid = static_cast<std::uint32_t>(fd);
        return 0;
      }
      default:
        return -ENOSYS;
    }
  }
};

PIDWARD_CHILD_CODE int sleep_for_ever(void* /*argument*/) {
  for (;;) sys::raw_syscall(SYS_ppoll, nullptr, 0, nullptr, nullptr, 0);
  return 0;
}

struct Figures {
  std::string kind;
  std::size_t entries = 0;
  std::size_t rounds = 1;
  double bytes = 0;
  double open_ns = 0, find_ns = 0, find_id_ns = 0, close_ns = 0;
};

/// Medians of some rounds, and the best.
struct Summary {
  Figures median, best;
};

Summary summarize(std::vector<Figures> rounds) {
  Summary summary{rounds.front(), rounds.front()};
  summary.median.rounds = summary.best.rounds = rounds.size();
  for (double Figures::*each : {&Figures::bytes, &Figures::open_ns, &Figures::find_ns,
                                &Figures::find_id_ns, &Figures::close_ns}) {
    std::sort(rounds.begin(), rounds.end(),
              [each](const Figures& a, const Figures& b) { return a.*each < b.*each; });
    summary.median.*each = rounds[rounds.size() / 2].*each;
    summary.best.*each = rounds.front().*each;
  }
  return summary;
}

class Watch {
 public:
  [[nodiscard]] double nanoseconds_each(std::size_t count) const {
    const auto passed = std::chrono::steady_clock::now() - start_;
    return std::chrono::duration<double, std::nano>(passed).count() / static_cast<double>(count);
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

Figures measure(std::string kind, std::vector<sys::Pidfd> descriptors,
                const std::vector<int>& numbers) {
  const std::size_t count = descriptors.size();
  sys::KernelFeatures features;
  for (const sys::Feature each :
       {sys::Feature::pidfd, sys::Feature::pidfs, sys::Feature::pidfd_info}) {
    features.set(each, sys::FeatureState::available);
  }
  Figures figures;
  figures.kind = std::move(kind);
  figures.entries = count;
  process::ProcessTable table(features);
  std::vector<process::ProcessHandle> handles(count);
  const auto before = mallinfo2();
  const Watch opening;
  for (std::size_t i = 0; i < count; ++i) {
    auto handle =
        table.adopt_child(std::move(descriptors[i]),
                          UnitId(static_cast<std::uint32_t>(1 + i % 1000)), process::Role::main);
    if (!handle) std::abort();
    handles[i] = *std::move(handle);
  }
  figures.open_ns = opening.nanoseconds_each(count);
  const auto after = mallinfo2();
  figures.bytes =
      static_cast<double>(after.uordblks + after.hblkhd - before.uordblks - before.hblkhd) /
      static_cast<double>(count);
  const Watch finding;
  for (const int number : numbers) {
    sys::Pidfd again(sys::Fd(sys::adopt_fd, number));
    const auto found = table.find(again);
    if (!found || !*found) std::abort();
    [[maybe_unused]] const int kept = std::move(again).release().release();
  }
  figures.find_ns = finding.nanoseconds_each(count);
  const Watch looking;
  for (const process::ProcessHandle& handle : handles) {
    if (!table.find(handle->id())) std::abort();
  }
  figures.find_id_ns = looking.nanoseconds_each(count);
  const Watch closing;
  for (process::ProcessHandle& handle : handles) handle.close();
  figures.close_ns = closing.nanoseconds_each(count);
  if (table.size() != 0) std::abort();
  return figures;
}

Figures measure_faked(std::size_t count) {
  StandIn kernel;
  const sys::ScopedKernel scope(kernel);
  std::vector<sys::Pidfd> descriptors;
  std::vector<int> numbers;
  for (std::size_t i = 0; i < count; ++i) {
    numbers.push_back(kFirstFake + static_cast<int>(i));
    descriptors.emplace_back(sys::Fd(sys::adopt_fd, numbers.back()));
  }
  return measure("faked", std::move(descriptors), numbers);
}

/// The first round warms up and does not count.
Summary measure_often(std::size_t count) {
  constexpr std::size_t kOperations = 1'000'000;
  constexpr std::size_t kMost = 501;
  constexpr std::size_t kFewest = 11;
  const std::size_t rounds = std::clamp(kOperations / count, kFewest, kMost);
  measure_faked(count);
  std::vector<Figures> all;
  for (std::size_t i = 0; i < rounds; ++i) all.push_back(measure_faked(count));
  return summarize(std::move(all));
}

Figures measure_real(std::size_t count) {
  auto stack = sys::ChildStack::create(4096 * 4);
  if (!stack) std::abort();
  std::vector<sys::Pidfd> descriptors;
  std::vector<sys::Pidfd> kept;
  std::vector<int> numbers;
  for (std::size_t i = 0; i < count; ++i) {
    // Memory of their own, so that they may all stand on the one stack.
    auto child = sys::spawn_on_stack({.share_memory = false}, *stack, sleep_for_ever, nullptr);
    if (!child) break;
    auto copy = child->pidfd.duplicate();
    if (!copy) std::abort();
    kept.push_back(*std::move(copy));
    numbers.push_back(kept.back().get());
    descriptors.push_back(std::move(child->pidfd));
  }
  Figures figures = measure("real", std::move(descriptors), numbers);
  for (const sys::Pidfd& child : kept) {
    static_cast<void>(child.send_signal(SIGKILL));
    while (auto end = child.reap()) {
      if (*end) break;
    }
  }
  return figures;
}

void print(const Summary& summary, bool json) {
  const Figures& figures = summary.median;
  const Figures& best = summary.best;
  if (json) {
    fmt::print(
        "{{\"kind\":\"{}\",\"entries\":{},\"rounds\":{},\"bytes\":{:.0f},\"open_ns\":{:.0f},"
        "\"find_ns\":{:.0f},\"find_id_ns\":{:.0f},\"last_close_ns\":{:.0f},"
        "\"best\":{{\"open_ns\":{:.0f},\"find_ns\":{:.0f},\"find_id_ns\":{:.0f},"
        "\"last_close_ns\":{:.0f}}}}}\n",
        figures.kind, figures.entries, figures.rounds, figures.bytes, figures.open_ns,
        figures.find_ns, figures.find_id_ns, figures.close_ns, best.open_ns, best.find_ns,
        best.find_id_ns, best.close_ns);
    return;
  }
  fmt::print("{:>6} {:>8} {:>8.0f} {:>10.0f} {:>10.0f} {:>10.0f} {:>10.0f}\n", best.kind,
             best.entries, best.bytes, best.open_ns, best.find_ns, best.find_id_ns, best.close_ns);
}

}  // namespace

int main(int argc, char** argv) {
  bool json = false;
  std::size_t real = 0;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--json") == 0) {
      json = true;
    } else if (std::strcmp(argv[i], "--real") == 0 && i + 1 < argc) {
      real = static_cast<std::size_t>(std::atoll(argv[++i]));
    } else {
      fmt::print(stderr, "usage: bench-processes [--real N] [--json]\n");
      return 2;
    }
  }
  // Memory that was touched once stays: what a first touch costs is the machine's doing, and the
  // warm-up's.
  ::mallopt(M_TRIM_THRESHOLD, 1 << 30);
  ::mallopt(M_MMAP_THRESHOLD, 32 << 20);
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
  if (!json) {
    fmt::print("{:>6} {:>8} {:>8} {:>10} {:>10} {:>10} {:>10}\n", "", "entries", "bytes", "open ns",
               "find ns", "by id ns", "close ns");
  }
  for (const std::size_t count : {100U, 1000U, 10'000U, 100'000U}) {
    print(measure_often(count), json);
  }
  if (real > 0) print(summarize({measure_real(real)}), json);
  return 0;
}
