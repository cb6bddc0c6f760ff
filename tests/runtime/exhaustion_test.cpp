// The kernel says no: no processes, no memory, no descriptors. One unit's failure, with a sentence.
#include <atomic>
#include <cerrno>

#include <gmock/gmock.h>
#include <sys/syscall.h>

#include "manager_fixture.hpp"
#include "sys/kernel.hpp"

namespace pidward::runtime {
namespace {

using engine::ActiveState;
using engine::ServiceResult;
using testing::HasSubstr;

/// Refuses one kind of call once it is told to, until it is told to stop.
class RefusingKernel : public sys::Kernel {
 public:
  static constexpr long kClone3 = 435;
  void refuse(long number, int errno_value) {
    error_ = errno_value;
    number_ = number;
  }
  void relent() { number_ = -1; }

  long syscall(long number, const sys::SyscallArguments& arguments) override {
    return number == number_ ? -error_.load() : Kernel::syscall(number, arguments);
  }
  long clone_on_stack(clone_args& args, std::size_t size, sys::ChildEntry entry,
                      void* argument) override {
    return number_ == kClone3 ? -error_.load()
                              : Kernel::clone_on_stack(args, size, entry, argument);
  }

 private:
  std::atomic<long> number_{-1};
  std::atomic<int> error_{0};
};

class ExhaustionTest : public ManagerTest {
 protected:
  void SetUp() override {
    kernel_.relent();
    service("good.service", "ExecStart=/bin/sleep 1000\n");
    service("next.service", "ExecStart=/bin/sleep 1000\n");
    start_manager();
    start("good.service");
    wait_for("good.service", ActiveState::active);
  }
  /// The unit fails with these words, and the one that runs goes on; then the kernel relents.
  void fails(const std::string& unit, const std::string& words) {
    start(unit);
    wait_for(unit, ActiveState::failed);
    EXPECT_EQ(status(unit).service->result, ServiceResult::resources);
    EXPECT_THAT(manager_->complaints(status(unit).id), testing::Contains(HasSubstr(words)));
    EXPECT_EQ(status("good.service").active, ActiveState::active);
    kernel_.relent();
    start(unit);
    wait_for(unit, ActiveState::active);
    EXPECT_TRUE(manager_->complaints(status(unit).id).empty());
  }

  /// Never destroyed: the logger's thread goes on for a while after its manager went, and calls it.
  static RefusingKernel& kernel() {
    static auto* const one = new RefusingKernel;
    return *one;
  }

  RefusingKernel& kernel_ = kernel();
  sys::ScopedKernel scope_{kernel_};
};

TEST_F(ExhaustionTest, NoProcessesLeft) {
  kernel_.refuse(RefusingKernel::kClone3, EAGAIN);
  fails("next.service", "Cannot make a child process: Resource temporarily unavailable");
}

TEST_F(ExhaustionTest, NoMemoryForAProcess) {
  kernel_.refuse(RefusingKernel::kClone3, ENOMEM);
  fails("next.service", "Cannot make a child process: Cannot allocate memory");
}

TEST_F(ExhaustionTest, NoDescriptorsForItsPipes) {
  kernel_.refuse(SYS_pipe2, EMFILE);
  fails("next.service", "Too many open files");
}

TEST_F(ExhaustionTest, ARestartThatTheKernelRefusesIsTriedAgain) {
  service("again.service",
          "Restart=always\nRestartSec=10ms\nExecStart=/bin/sleep 1000\n"
          "[Unit]\nStartLimitIntervalSec=0\n");
  start("again.service");
  wait_for("again.service", ActiveState::active);
  const ProcessId first = status("again.service").service->main;
  kernel_.refuse(RefusingKernel::kClone3, EAGAIN);
  ASSERT_TRUE(manager_->kill(status("again.service").id, engine::KillWhom::main, 9));
  run_until([&] { return status("again.service").service->restarts >= 2; });
  kernel_.relent();
  run_until([&] {
    return status("again.service").service->main &&
           status("again.service").active == ActiveState::active;
  });
  EXPECT_NE(status("again.service").service->main, first);
}

}  // namespace
}  // namespace pidward::runtime
