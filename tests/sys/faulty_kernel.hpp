// A kernel whose calls fail when a test says so, and real children to try things on.
#pragma once

#include <map>
#include <vector>

#include "sys/kernel.hpp"

namespace pidward::test {

/// Passes everything on but the calls it was told to fail. In force as long as it lives.
class FaultyKernel : public sys::Kernel {
 public:
  FaultyKernel() : scope_(*this) {}

  /// The next `times` calls of `number` fail with `errno_value`, after `skip` that go through.
  /// times < 0: for ever.
  void fail(long number, int errno_value, int skip = 0, int times = 1) {
    faults_[number] = {errno_value, skip, times};
  }
  /// clone3 goes by this name too.
  long syscall(long number, const sys::SyscallArguments& arguments) override {
    calls_.push_back(number);
    if (const int error = due(number); error != 0) return -error;
    return Kernel::syscall(number, arguments);
  }
  long clone_on_stack(clone_args& args, std::size_t size, sys::ChildEntry entry,
                      void* argument) override {
    constexpr long kClone3 = 435;
    calls_.push_back(kClone3);
    if (const int error = due(kClone3); error != 0) return -error;
    return Kernel::clone_on_stack(args, size, entry, argument);
  }
  /// How often a call was made, failed or not.
  [[nodiscard]] int count(long number) const {
    int made = 0;
    for (const long call : calls_) made += call == number ? 1 : 0;
    return made;
  }
  void forget_calls() { calls_.clear(); }

 private:
  struct Fault {
    int errno_value;
    int skip;
    int times;
  };
  int due(long number) {
    const auto found = faults_.find(number);
    if (found == faults_.end() || found->second.times == 0) return 0;
    Fault& fault = found->second;
    if (fault.skip > 0) {
      --fault.skip;
      return 0;
    }
    if (fault.times > 0) --fault.times;
    return fault.errno_value;
  }

  std::map<long, Fault> faults_;
  std::vector<long> calls_;
  sys::ScopedKernel scope_;
};

}  // namespace pidward::test
