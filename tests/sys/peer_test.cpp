#include "sys/peer.hpp"

#include <cerrno>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/faulty_kernel.hpp"
#include "sys/live_child.hpp"

namespace pidward::sys {
namespace {

using test::LiveChild;

// With what the kernel has, and as if it were older.
class PeerTest : public testing::TestWithParam<const char*> {
 protected:
  const KernelFeatures features_ = *KernelFeatures::probe(KernelFeatures::split_names(GetParam()));
};
INSTANTIATE_TEST_SUITE_P(Tiers, PeerTest, testing::Values("", "pass-pidfd,peer-pidfd"),
                         [](const auto& tier) { return tier.index == 0 ? "Newest" : "Oldest"; });

TEST_P(PeerTest, KnowsWhoIsAtTheOtherEnd) {
  const auto pair = make_socketpair(SOCK_STREAM);
  ASSERT_TRUE(pair);
  const auto credentials = peer_credentials(pair->first.get());
  ASSERT_TRUE(credentials);
  EXPECT_EQ(credentials->pid, getpid());
  EXPECT_EQ(credentials->uid, getuid());
  const auto peer = peer_pidfd(pair->first.get(), features_);
  ASSERT_TRUE(peer);
  EXPECT_EQ(*peer->pid(), getpid());
}

TEST_P(PeerTest, KnowsTheSenderOfADatagram) {
  const auto pair = make_socketpair(SOCK_DGRAM);
  ASSERT_TRUE(pair);
  ASSERT_TRUE(enable_sender_identity(pair->first.get(), features_));
  LiveChild child([&] {
    if (!send_message(pair->second.get(), "READY=1")) return 1;
    for (;;) raw_syscall(SYS_ppoll, nullptr, 0, nullptr, nullptr, 0);
  });
  pollfd watched{pair->first.get(), POLLIN, 0};
  ASSERT_EQ(raw_syscall(SYS_ppoll, &watched, 1, nullptr, nullptr, 0), 1);
  const auto message = receive_message(pair->first.get(), 4096);
  ASSERT_TRUE(message && *message);
  EXPECT_EQ((*message)->bytes, "READY=1");
  EXPECT_EQ((*message)->credentials->pid, child.pid());
  ASSERT_TRUE((*message)->sender);
  EXPECT_EQ(*(*message)->sender->pid(), child.pid());
  EXPECT_EQ((*message)->sender_is_certain, features_.has(Feature::pass_pidfd));
}

TEST_P(PeerTest, KnowsASenderThatIsGoneOnlyByItsPidfd) {
  const auto pair = make_socketpair(SOCK_DGRAM);
  ASSERT_TRUE(pair);
  ASSERT_TRUE(enable_sender_identity(pair->first.get(), features_));
  std::uint64_t inode = 0;
  {
    LiveChild child([&] { return send_message(pair->second.get(), "x") ? 0 : 1; });
    test::wait_for_end(child.pidfd());
    inode = *child.pidfd().inode();
    child.end_and_collect();
  }
  const auto message = receive_message(pair->first.get(), 4096);
  ASSERT_TRUE(message && *message);
  if (!(*message)->sender_is_certain) {
    EXPECT_FALSE((*message)->sender);
    return;
  }
  EXPECT_EQ(*(*message)->sender->inode(), inode);
}

TEST(Peer, PassesDescriptorsThatCloseOnExec) {
  const auto pair = make_socketpair(SOCK_DGRAM);
  const auto pipe = make_pipe();
  ASSERT_TRUE(pair && pipe);
  ASSERT_TRUE(
      send_message(pair->first.get(), "two", {pipe->read_end.get(), pipe->write_end.get()}));
  const auto message = receive_message(pair->second.get(), 100);
  ASSERT_TRUE(message && *message);
  ASSERT_EQ((*message)->fds.size(), 2U);
  for (const Fd& fd : (*message)->fds) {
    EXPECT_NE(raw_syscall(SYS_fcntl, fd.get(), F_GETFD, 0) & FD_CLOEXEC, 0);
  }
  EXPECT_EQ(*inode_of((*message)->fds[0].get()), *inode_of(pipe->read_end.get()));
}

TEST(Peer, ClosesDescriptorsAboveTheLimit) {
  const auto pair = make_socketpair(SOCK_DGRAM);
  ASSERT_TRUE(pair);
  const int one = pair->first.get();
  const std::size_t before = test::open_descriptors();
  ASSERT_TRUE(send_message(pair->first.get(), "x", std::vector<int>(253, one)));
  EXPECT_FALSE(send_message(pair->first.get(), "x", std::vector<int>(254, one)));
  {
    const auto message = receive_message(pair->second.get(), 100, 1);
    ASSERT_TRUE(message && *message);
    EXPECT_EQ((*message)->fds.size(), 1U);
    EXPECT_TRUE((*message)->control_truncated);
  }
  EXPECT_EQ(test::open_descriptors(), before);
}

TEST(Peer, LeavesADatagramThatWasPeekedAtUntilItIsDropped) {
  const auto pair = make_socketpair(SOCK_DGRAM);
  ASSERT_TRUE(pair);
  const std::size_t before = test::open_descriptors();
  ASSERT_TRUE(send_message(pair->first.get(), "first", {pair->first.get()}));
  ASSERT_TRUE(send_message(pair->first.get(), "second"));
  for (int i = 0; i < 2; ++i) {
    const auto message = peek_message(pair->second.get(), 100);
    ASSERT_TRUE(message && *message);
    EXPECT_EQ((*message)->bytes, "first");
    EXPECT_EQ((*message)->fds.size(), 1U);
  }
  drop_message(pair->second.get());
  const auto next = receive_message(pair->second.get(), 100);
  ASSERT_TRUE(next && *next);
  EXPECT_EQ((*next)->bytes, "second");
  EXPECT_EQ(test::open_descriptors(), before);
}

TEST(Peer, SaysThatADatagramWasCut) {
  const auto pair = make_socketpair(SOCK_DGRAM);
  ASSERT_TRUE(pair);
  ASSERT_TRUE(send_message(pair->first.get(), "123456"));
  const auto message = receive_message(pair->second.get(), 3);
  ASSERT_TRUE(message && *message);
  EXPECT_TRUE((*message)->truncated);
  EXPECT_EQ((*message)->bytes, "123");
}

TEST(Peer, NeverWaits) {
  const auto pair = make_socketpair(SOCK_DGRAM);
  ASSERT_TRUE(pair);
  const auto nothing = receive_message(pair->first.get(), 100);
  ASSERT_TRUE(nothing);
  EXPECT_FALSE(*nothing);
  Status sent;
  for (int i = 0; sent && i < 100000; ++i) sent = send_message(pair->first.get(), "fill");
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().sys_errno(), EAGAIN);
}

TEST(Peer, SurvivesAMissingReaderWithoutASignal) {
  auto pair = make_socketpair(SOCK_DGRAM);
  ASSERT_TRUE(pair);
  pair->second.reset();
  EXPECT_FALSE(send_message(pair->first.get(), "x"));
}

TEST(Peer, ReportsFailuresOfTheKernel) {
  const auto pair = make_socketpair(SOCK_STREAM);
  ASSERT_TRUE(pair);
  const KernelFeatures none;
  test::FaultyKernel kernel;
  kernel.fail(SYS_getsockopt, ENOTSOCK);
  EXPECT_EQ(peer_credentials(pair->first.get()).error().sys_errno(), ENOTSOCK);
  kernel.fail(SYS_setsockopt, ENOPROTOOPT);
  EXPECT_FALSE(enable_sender_identity(pair->first.get(), none));
  kernel.fail(SYS_recvmsg, ENOMEM);
  EXPECT_EQ(receive_message(pair->first.get(), 1).error().code(), Errc::limit_exceeded);
}

}  // namespace
}  // namespace pidward::sys
