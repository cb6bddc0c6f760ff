// The loop's own parts: timers, descriptors, workers.
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <thread>

#include <boost/asio/detail/memory.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/clock.hpp"
#include "runtime/descriptor_watcher.hpp"
#include "runtime/timer_queue.hpp"
#include "runtime/worker_pool.hpp"
#include "support/temporary_directory.hpp"
#include "sys/fd.hpp"

namespace pidward::runtime {
namespace {

using engine::TimerKind;

// What the loop allocates is Asio's. Were it to throw, the daemon would be unwound, and let go of
// what the next one is to find: a child that waits for its start with its record written, for one.
TEST(Loop, AnAllocationOfItThatFailsEndsTheProgramAsOneOfOurs) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer has an allocator of its own";
#endif
  constexpr int kAsked = 77;
  const auto allocate = [] {
    std::set_new_handler([] { ::_exit(kAsked); });
    volatile std::size_t more_than_there_is = PTRDIFF_MAX;
    boost::asio::aligned_delete(
        boost::asio::aligned_new(alignof(std::max_align_t), more_than_there_is));
  };
  EXPECT_EXIT(allocate(), testing::ExitedWithCode(kAsked), "");
}

TEST(TimerQueue, FiresInOrderAndOnlyWhatIsStillArmed) {
  boost::asio::io_context io(1);
  std::vector<std::uint64_t> fired;
  TimerQueue timers(io,
                    [&](const engine::TimerFired& timer) { fired.push_back(timer.generation); });
  const MonoTime start = mono_now() + std::chrono::hours(1);
  timers.arm(UnitId(1), TimerKind::operation, start + Duration(30), 30);
  timers.arm(UnitId(2), TimerKind::operation, start + Duration(10), 10);
  timers.arm(UnitId(3), TimerKind::operation, start + Duration(20), 20);
  timers.arm(UnitId(3), TimerKind::operation, start + Duration(40), 40);  // replaces
  timers.arm(UnitId(4), TimerKind::operation, start + Duration(5), 5);
  timers.disarm(UnitId(4), TimerKind::operation);
  timers.fire_due(start + Duration(25));
  EXPECT_EQ(fired, (std::vector<std::uint64_t>{10}));
  timers.fire_due(start + Duration(100));
  EXPECT_EQ(fired, (std::vector<std::uint64_t>{10, 30, 40}));
  EXPECT_EQ(timers.size(), 0U);
}

TEST(TimerQueue, TheLoopFiresWhatIsDue) {
  boost::asio::io_context io(1);
  int fired = 0;
  TimerQueue timers(io, [&](const engine::TimerFired&) { ++fired; });
  timers.arm(UnitId(1), TimerKind::restart, mono_now(), 1);
  io.run();
  EXPECT_EQ(fired, 1);
}

TEST(TimerQueue, ArmingWithinACallbackDoesNotHoldTheLoop) {
  boost::asio::io_context io(1);
  int fired = 0;
  TimerQueue* queue = nullptr;
  TimerQueue timers(io, [&](const engine::TimerFired&) {
    if (++fired < 3) queue->arm(UnitId(1), TimerKind::restart, MonoTime(Duration(1)), 1);
  });
  queue = &timers;
  timers.arm(UnitId(1), TimerKind::restart, MonoTime(Duration(1)), 1);
  timers.fire_due(mono_now());
  EXPECT_EQ(fired, 1);
  io.run();
  EXPECT_EQ(fired, 3);
}

TEST(TimerQueue, WhatIsArmedWhileItIsHeldFiresAllTheSame) {
  boost::asio::io_context io(1);
  std::vector<std::uint64_t> fired;
  TimerQueue timers(io,
                    [&](const engine::TimerFired& timer) { fired.push_back(timer.generation); });
  timers.hold();
  timers.arm(UnitId(1), TimerKind::restart, mono_now(), 1);
  timers.arm(UnitId(2), TimerKind::restart, mono_now(), 2);
  timers.disarm(UnitId(1), TimerKind::restart);
  EXPECT_EQ(io.poll(), 0U);
  io.restart();
  timers.release();
  io.run();
  EXPECT_EQ(fired, (std::vector<std::uint64_t>{2}));
}

TEST(TimerQueue, SaysWhetherAnythingWasDue) {
  boost::asio::io_context io(1);
  TimerQueue timers(io, [](const engine::TimerFired&) {});
  const MonoTime due = mono_now() + std::chrono::hours(1);
  timers.arm(UnitId(1), TimerKind::restart, due, 1);
  EXPECT_FALSE(timers.fire_due(due - Duration(1)));
  EXPECT_TRUE(timers.fire_due(due));
  EXPECT_FALSE(timers.fire_due(due));
}

struct CountingHandler final : DescriptorHandler {
  void descriptor_ready(int fd, std::uint32_t) override {
    ready.push_back(fd);
    if (on_ready) on_ready(fd);
  }
  std::vector<int> ready;
  std::function<void(int)> on_ready;
};

TEST(DescriptorWatcher, TellsWhatIsReadyAndForgetsWhatIsRemoved) {
  boost::asio::io_context io(1);
  auto watcher = DescriptorWatcher::create(io);
  ASSERT_TRUE(watcher);
  auto a = sys::make_pipe();
  auto b = sys::make_pipe();
  CountingHandler handler;
  // Whichever comes first removes both: the other's event of the same round must not arrive.
  handler.on_ready = [&](int) {
    (*watcher)->remove(a->read_end.get());
    (*watcher)->remove(b->read_end.get());
    io.stop();
  };
  ASSERT_TRUE((*watcher)->add(a->read_end.get(), EPOLLIN, handler));
  ASSERT_TRUE((*watcher)->add(b->read_end.get(), EPOLLIN, handler));
  ASSERT_TRUE(sys::write_all(a->write_end.get(), "x"));
  ASSERT_TRUE(sys::write_all(b->write_end.get(), "x"));
  io.run();
  EXPECT_EQ(handler.ready.size(), 1U);
  EXPECT_EQ((*watcher)->size(), 0U);
}

TEST(DescriptorWatcher, IsLevelTriggered) {
  boost::asio::io_context io(1);
  auto watcher = DescriptorWatcher::create(io);
  auto pipe = sys::make_pipe();
  CountingHandler handler;
  handler.on_ready = [&](int) {
    if (handler.ready.size() == 3) io.stop();
  };
  ASSERT_TRUE((*watcher)->add(pipe->read_end.get(), EPOLLIN, handler));
  ASSERT_TRUE(sys::write_all(pipe->write_end.get(), "x"));
  io.run();
  EXPECT_EQ(handler.ready.size(), 3U);
  (*watcher)->remove(pipe->read_end.get());
}

TEST(WorkerPool, BringsResultsBackToTheLoop) {
  boost::asio::io_context io(1);
  auto guard = boost::asio::make_work_guard(io);
  WorkerPool pool(io);
  const auto loop = std::this_thread::get_id();
  int done = 0;
  for (int i = 0; i < 100; ++i) {
    pool.run([i] { return std::pair(i, std::this_thread::get_id()); },
             [&](const std::pair<int, std::thread::id>& result) {
               EXPECT_NE(result.second, loop);
               EXPECT_EQ(std::this_thread::get_id(), loop);
               if (++done == 100) guard.reset();
             });
  }
  io.run();
  EXPECT_EQ(done, 100);
  EXPECT_EQ(pool.pending(), 0U);
}

TEST(WorkerPool, OthersTakeThePlaceOfThreadsThatAreHeldUp) {
  boost::asio::io_context io(1);
  auto guard = boost::asio::make_work_guard(io);
  WorkerPool pool(io);
  auto gate = sys::make_pipe();
  ASSERT_TRUE(gate);
  int held_up = 2;
  for (int i = 0; i < 2; ++i) {
    pool.run([&] { return sys::read_some(gate->read_end.get(), 1).has_value(); },
             [&](bool) {
               if (--held_up == 0) guard.reset();
             });
  }
  bool went_on = false;
  pool.run([] { return true; },
           [&](bool) {
             went_on = held_up == 2;
             static_cast<void>(sys::write_all(gate->write_end.get(), "xx"));
           });
  io.run();
  EXPECT_TRUE(went_on);
}

TEST(WorkerPool, StopDoesNotWaitForWhatIsHeldUp) {
  boost::asio::io_context io(1);
  const test::TemporaryDirectory directory;
  const std::string fifo = directory.path("fifo");
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  // What is to be done with a result is the loop's, wherever its task is.
  const auto loops = std::make_shared<int>(7);
  const auto tasks = std::make_shared<std::string>(fifo);
  auto guard = boost::asio::make_work_guard(io);
  auto pool = std::make_unique<WorkerPool>(io);
  pool->run([tasks] { return sys::open_path(*tasks, O_RDONLY).has_value(); },
            [loops](bool) { FAIL() << "its result is not wanted any more"; });
  bool told = false;
  pool->run([] { return true; },
            [&](bool) {
              told = true;
              guard.reset();
            });
  io.run();
  EXPECT_TRUE(told);
  EXPECT_FALSE(pool->stop());
  EXPECT_FALSE(pool->stop());
  EXPECT_EQ(loops.use_count(), 1);
  EXPECT_EQ(tasks.use_count(), 2) << "the task still has what it works with";
  pool.reset();
  // Now it goes on, and nobody is there.
  const sys::Fd writer(sys::adopt_fd, ::open(fifo.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));
  while (tasks.use_count() > 1) std::this_thread::yield();
  io.restart();
  EXPECT_EQ(io.run(), 0U);
}

TEST(WorkerPool, StopWaitsForWhatRunsAndDropsTheRest) {
  boost::asio::io_context io(1);
  WorkerPool pool(io);
  auto begun = sys::make_pipe();
  ASSERT_TRUE(begun);
  std::atomic<int> begins = 0;
  std::atomic<int> ends = 0;
  bool told = false;
  const auto task = [&] {
    ++begins;
    static_cast<void>(sys::write_all(begun->write_end.get(), "x"));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return ++ends;
  };
  for (int i = 0; i < 1000; ++i) pool.run(task, [&](int) { told = true; });
  ASSERT_EQ(*sys::read_some(begun->read_end.get(), 1), "x");
  pool.stop();
  // What a task uses may go now: none runs, and none will.
  const int ran = begins;
  EXPECT_GT(ran, 0);
  EXPECT_LT(ran, 1000);
  EXPECT_EQ(ends, ran);
  pool.run(task, [&](int) { told = true; });
  io.run();
  EXPECT_EQ(begins, ran);
  EXPECT_FALSE(told);
}

}  // namespace
}  // namespace pidward::runtime
