#include "process/lease.hpp"

#include <cerrno>
#include <csignal>
#include <optional>

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/syscall.h>

#include "sys/faulty_kernel.hpp"
#include "sys/live_child.hpp"

namespace pidward::process {
namespace {

using sys::KernelFeatures;
using test::LiveChild;

class LeaseTest : public testing::Test {
 protected:
  ProcessTable table_{*KernelFeatures::probe()};
};

void wait_for_hang_up(const Lease& lease) {
  pollfd watched{lease.watch_fd(), 0, 0};
  sys::raw_syscall(SYS_ppoll, &watched, 1, nullptr, nullptr, 0);
}

TEST_F(LeaseTest, HoldsAProcessAsLongAsAnyCopyOfItIsOpen) {
  const LiveChild child = LiveChild::sleeping();
  ProcessHandle handle = *table_.open(child.copy());
  handle.set_last_close({LastClose::Action::signal, SIGTERM});
  auto pair = Lease::on_process(std::move(handle));
  ASSERT_TRUE(pair);
  std::optional<Lease> lease(std::move(pair->lease));
  auto copy = pair->client_end.duplicate();
  ASSERT_TRUE(copy);
  pair->client_end.reset();
  EXPECT_FALSE(*lease->is_over());
  copy->reset();
  EXPECT_TRUE(*lease->is_over());
  EXPECT_FALSE(*child.pidfd().has_ended());
  lease.reset();
  test::wait_for_end(child.pidfd());
  EXPECT_EQ((*child.pidfd().peek())->status, (ExitStatus{ExitStatus::Kind::killed, SIGTERM}));
}

TEST_F(LeaseTest, EndsWithAHolderThatIsKilled) {
  auto pair = Lease::on_unit(UnitId(5));
  ASSERT_TRUE(pair);
  const LiveChild holder = LiveChild::sleeping();
  pair->client_end.reset();
  EXPECT_FALSE(*pair->lease.is_over());
  ASSERT_TRUE(holder.pidfd().send_signal(SIGKILL));
  wait_for_hang_up(pair->lease);
  EXPECT_TRUE(*pair->lease.is_over());
  EXPECT_EQ(pair->lease.unit(), UnitId(5));
  EXPECT_FALSE(pair->lease.process());
}

TEST_F(LeaseTest, DoesNotMindAClientThatWrites) {
  auto pair = Lease::on_unit(UnitId(5));
  ASSERT_TRUE(pair);
  ASSERT_TRUE(sys::write_all(pair->client_end.get(), "hello"));
  EXPECT_FALSE(*pair->lease.is_over());
  pair->client_end.reset();
  EXPECT_TRUE(*pair->lease.is_over());
}

TEST_F(LeaseTest, LeavesTheProcessAloneIfItCannotBeMade) {
  const LiveChild child = LiveChild::sleeping();
  const ProcessHandle handle = *table_.open(child.copy());
  const std::size_t before = test::open_descriptors();
  test::FaultyKernel kernel;
  kernel.fail(SYS_pipe2, EMFILE);
  EXPECT_EQ(Lease::on_process(handle).error().code(), Errc::limit_exceeded);
  EXPECT_EQ(test::open_descriptors(), before);
  EXPECT_EQ(table_.size(), 1U);
}

}  // namespace
}  // namespace pidward::process
