// Users, groups and capabilities: what the program ends up with, and what nobody gains on the way.
#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "exec/fixture.hpp"
#include "exec/plan_builder.hpp"
#include "sys/clone.hpp"

namespace pidward::exec {
namespace {

using unit::Directive;

constexpr uid_t kNobody = 65534;

class IdentityTest : public ExecTest {
 protected:
  void SetUp() override {
    if (!is_root()) GTEST_SKIP() << "changing users takes root";
    ExecTest::SetUp();
  }
};

TEST_P(IdentityTest, AUserBringsItsGroupsAndItsNameIntoTheEnvironment) {
  set(Directive::User, std::string("daemon"));
  shell("id -un; id -gn; echo $USER $HOME [$SHELL]");
  EXPECT_EQ(run().output, "daemon\ndaemon\ndaemon /usr/sbin []\n");
}

TEST_P(IdentityTest, OnlyAShellThatLetsSomebodyInIsAnnounced) {
  set(Directive::User, std::string("root"));
  shell("echo $HOME $SHELL");
  EXPECT_EQ(run().output, "/root /bin/bash\n");
}

TEST_P(IdentityTest, GroupAndSupplementaryGroupsAreApplied) {
  set(Directive::User, std::string("nobody"));
  set(Directive::Group, std::string("daemon"));
  set(Directive::SupplementaryGroups, std::vector<std::string>{"adm", "4242"});
  shell("id -gn; id -G");
  EXPECT_EQ(run().output, "daemon\n1 4 4242\n");
}

TEST_P(IdentityTest, AnUnknownUserIs217BeforeThereIsAProcess) {
  set(Directive::User, std::string("no-such-user"));
  shell("id");
  const RunResult result = run();
  EXPECT_FALSE(result.outcome);
  EXPECT_EQ(result.compiled.exit_code, ExitCode::user);
  EXPECT_NE(result.compiled.error->to_string().find("no-such-user"), std::string::npos);
}

TEST_P(IdentityTest, AnUnknownGroupIs216) {
  set(Directive::Group, std::string("no-such-group"));
  shell("id");
  EXPECT_EQ(run().compiled.exit_code, ExitCode::group);
}

TEST_P(IdentityTest, ADynamicUserIsRefusedRatherThanRunAsRoot) {
  set(Directive::DynamicUser, true);
  shell("id");
  EXPECT_EQ(run().compiled.exit_code, ExitCode::user);
}

TEST_P(IdentityTest, PlusAndExclamationMarkKeepRoot) {
  set(Directive::User, std::string("nobody"));
  shell("id -u").full_privileges = true;
  EXPECT_EQ(run().output, "0\n");
  shell("id -u").no_setuid = true;
  EXPECT_EQ(run().output, "0\n");
}

TEST_P(IdentityTest, PermissionsStartOnlyLeavesTheOtherCommandsToRoot) {
  set(Directive::User, std::string("nobody"));
  set(Directive::PermissionsStartOnly, true);
  set(Directive::ExecStartPre, unit::ExecList{shell("id -u")});
  EXPECT_EQ(run().output, std::to_string(kNobody) + "\n");
  request_.list = Directive::ExecStartPre;
  EXPECT_EQ(run().output, "0\n");
}

TEST_P(IdentityTest, RootDirectoryStartOnlyLeavesTheOtherCommandsOutside) {
  set(Directive::RootDirectory, directory_);
  set(Directive::RootDirectoryStartOnly, true);
  set(Directive::ExecStartPre, unit::ExecList{shell("echo outside")});
  EXPECT_EQ(run().outcome->exit_code, ExitCode::exec);  // there is no shell in that directory
  request_.list = Directive::ExecStartPre;
  EXPECT_EQ(run().output, "outside\n");
}

TEST_P(IdentityTest, TheBoundingSetIsWhatTheUnitSays) {
  set(Directive::CapabilityBoundingSet, std::uint64_t{1U << 10U});  // CAP_NET_BIND_SERVICE
  shell("grep -E 'CapBnd|CapEff' /proc/self/status");
  EXPECT_EQ(run().output, "CapEff:\t0000000000000400\nCapBnd:\t0000000000000400\n");
}

TEST_P(IdentityTest, AmbientCapabilitiesSurviveTheChangeOfUser) {
  set(Directive::User, std::string("nobody"));
  set(Directive::AmbientCapabilities, std::uint64_t{1U << 10U});
  shell("grep -E 'CapPrm|CapEff|CapAmb' /proc/self/status");
  EXPECT_EQ(run().output,
            "CapPrm:\t0000000000000400\nCapEff:\t0000000000000400\nCapAmb:\t0000000000000400\n");
}

TEST_P(IdentityTest, AmbientCapabilitiesThatTheBoundingSetKeepsOutAreLeftOut) {
  set(Directive::User, std::string("nobody"));
  set(Directive::CapabilityBoundingSet, std::uint64_t{1U << 10U});
  set(Directive::AmbientCapabilities, std::uint64_t{1U << 10U | 1U << 5U});
  shell("grep -E 'CapEff|CapAmb' /proc/self/status");
  EXPECT_EQ(run().output, "CapEff:\t0000000000000400\nCapAmb:\t0000000000000400\n");
}

TEST_P(IdentityTest, AnotherUserHasNoCapabilitiesLeft) {
  set(Directive::User, std::string("nobody"));
  shell("grep -E 'CapPrm|CapEff' /proc/self/status");
  EXPECT_EQ(run().output, "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n");
}

TEST_P(IdentityTest, SecureBitsAndNoNewPrivilegesAreSet) {
  set(Directive::User, std::string("nobody"));
  set(Directive::SecureBits, std::int64_t{1});  // noroot
  set(Directive::NoNewPrivileges, true);
  shell("grep NoNewPrivs /proc/self/status");
  const RunResult result = run();
  ASSERT_TRUE(result.outcome);
  EXPECT_TRUE(result.outcome->executed) << result.outcome->error->to_string();
  EXPECT_EQ(result.output, "NoNewPrivs:\t1\n");
}

/// A child that has become nobody and still stands in our memory, held before its exec by a pipe.
class HalfWayChild {
 public:
  explicit HalfWayChild(int many)
      : spawner_(many),
        gate_(std::move(*sys::make_pipe())),
        release_(std::move(*sys::make_pipe())) {
    PlanBuilder builder;
    const gid_t* groups = builder.keep_blob(&kNobody, 1);
    builder.call(ExitCode::group, "groups", SYS_setgroups, 1, groups);
    builder.call(ExitCode::group, "gid", SYS_setresgid, kNobody, kNobody, kNobody);
    builder.call(ExitCode::user, "uid", SYS_setresuid, kNobody, kNobody, kNobody);
    const char go = 0;
    auto* byte = builder.keep_blob(&go, 1);
    copy_onto(builder, gate_.write_end, STDOUT_FILENO);
    copy_onto(builder, release_.read_end, STDIN_FILENO);
    builder.call(ExitCode::fds, "say ready", SYS_write, STDOUT_FILENO, byte, 1);
    builder.call(ExitCode::fds, "wait", SYS_read, STDIN_FILENO, byte, 1);
    builder.state().program = "half-way";
    child_.emplace(std::move(*spawner_.spawn(std::move(builder).finish())));
    char seen = 1;
    EXPECT_EQ(::read(gate_.read_end.get(), &seen, 1), 1);
  }
  ~HalfWayChild() {
    EXPECT_TRUE(sys::write_all(release_.write_end.get(), "x"));
    pollfd ended{child_->pidfd().get(), POLLIN, 0};
    ::poll(&ended, 1, -1);
    static_cast<void>(child_->pidfd().reap());
    static_cast<void>(child_->outcome());
  }
  HalfWayChild(const HalfWayChild&) = delete;
  HalfWayChild& operator=(const HalfWayChild&) = delete;
  [[nodiscard]] int pid() const { return child_->pid(); }

 private:
  /// A number of the child's own: that of ours means nothing to one that was handed what it needs.
  static void copy_onto(PlanBuilder& builder, const sys::Fd& ours, int number) {
    const long index = builder.use(builder.keep_fd(std::move(*ours.duplicate())));
    builder.add({.kind = StepKind::copy_onto,
                 .exit_code = ExitCode::fds,
                 .args = {index, number},
                 .label = "copy"});
  }

  Spawner spawner_;
  sys::Pipe gate_;
  sys::Pipe release_;
  std::optional<SpawnedChild> child_;
};

/// Runs `attempt` as nobody in a process of its own and returns the errno it ended with (0: it
/// worked).
template <typename Attempt>
int errno_as_nobody(Attempt attempt) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (::setgid(kNobody) != 0 || ::setuid(kNobody) != 0) ::_exit(255);
    errno = 0;
    const bool worked = attempt();
    ::_exit(worked ? 0 : errno);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 254;
}

TEST_P(IdentityTest, TheNewUserCannotReachTheDaemonThroughItsHalfWayChild) {
  static const char kSecret[] = "only the daemon knows";
  const HalfWayChild child(GetParam());
  const int pid = child.pid();
  EXPECT_EQ(errno_as_nobody([&] { return ::ptrace(PTRACE_ATTACH, pid, nullptr, nullptr) == 0; }),
            EPERM);
  EXPECT_EQ(errno_as_nobody([&] { return ::ptrace(PTRACE_SEIZE, pid, nullptr, nullptr) == 0; }),
            EPERM);
  EXPECT_EQ(errno_as_nobody([&] {
              char copy[sizeof kSecret];
              iovec local{copy, sizeof copy};
              iovec remote{const_cast<char*>(kSecret), sizeof kSecret};
              return ::process_vm_readv(pid, &local, 1, &remote, 1, 0) > 0;
            }),
            EPERM);
  EXPECT_EQ(errno_as_nobody([&] {
              const std::string memory = "/proc/" + std::to_string(pid) + "/mem";
              return ::open(memory.c_str(), O_RDWR | O_CLOEXEC) >= 0;
            }),
            EACCES);
}

INSTANTIATE_TEST_SUITE_P(Descriptors, IdentityTest, copied_or_handed_over(), way_of);

}  // namespace
}  // namespace pidward::exec
