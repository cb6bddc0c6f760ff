// Collects steps and owns what they point to. Internal to the layer.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "exec/step.hpp"
#include "sys/fd.hpp"

namespace pidward::exec {

struct ExecPlan::Impl {
  std::vector<Step> steps;
  std::deque<std::string> strings;           ///< a deque: addresses stay as it grows
  std::deque<std::vector<char*>> arrays;     ///< argv, envp and candidate lists
  std::deque<std::vector<std::byte>> blobs;  ///< structures that system calls read
  std::deque<int> slots;                     ///< descriptor numbers noted by StepKind::lift
  std::vector<sys::Fd> descriptors;          ///< kept open until the child has its copy
  std::vector<int> used;                     ///< descriptors that steps name, by index
  std::string program;
  std::vector<char*>* arguments = nullptr;
  std::vector<char*>* environment = nullptr;
  /// The child gets a copy of our memory: a step would change what belongs to the memory
  /// (OOMScoreAdjust=, which the kernel applies to every process that shares it).
  bool own_memory = false;
  std::uint64_t clone_flags = 0;  ///< besides those that every child is made with
  int lowest_free_fd = 3;
  std::pair<uid_t, gid_t> owner{static_cast<uid_t>(-1), static_cast<gid_t>(-1)};
};

class PlanBuilder {
 public:
  PlanBuilder() : plan_(new ExecPlan) {}

  /// Adds a system call whose failure ends the start with `exit_code`.
  template <typename... Args>
  Step& call(ExitCode exit_code, const char* label, long number, Args... args) {
    Step step;
    step.exit_code = exit_code;
    step.label = label;
    step.number = number;
    step.args = {as_argument(args)...};
    return add(step);
  }
  Step& add(const Step& step) {
    state().steps.push_back(step);
    return state().steps.back();
  }

  /// Copies that live as long as the plan.
  char* keep(std::string text) { return state().strings.emplace_back(std::move(text)).data(); }
  template <typename Plain>
  Plain* keep_blob(const Plain* data, std::size_t count) {
    static_assert(std::is_trivially_copyable_v<Plain>);
    const auto* bytes = reinterpret_cast<const std::byte*>(data);
    auto& blob = state().blobs.emplace_back(bytes, bytes + count * sizeof(Plain));
    return reinterpret_cast<Plain*>(blob.data());
  }
  /// Null-terminated array of copies.
  std::vector<char*>& keep_array(const std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    pointers.reserve(texts.size() + 1);
    for (const std::string& text : texts) pointers.push_back(keep(text));
    pointers.push_back(nullptr);
    return state().arrays.emplace_back(std::move(pointers));
  }
  int keep_fd(sys::Fd fd) {
    state().descriptors.push_back(std::move(fd));
    return state().descriptors.back().get();
  }
  /// The index by which a step names one of our descriptors: the child may have it elsewhere.
  long use(int fd) {
    state().used.push_back(fd);
    return static_cast<long>(state().used.size()) - 1;
  }
  int* new_slot() { return &state().slots.emplace_back(-1); }

  ExecPlan::Impl& state() { return *plan_->impl_; }
  std::unique_ptr<ExecPlan> finish() && { return std::move(plan_); }

 private:
  static long as_argument(const void* pointer) { return reinterpret_cast<long>(pointer); }
  static long as_argument(long value) { return value; }
  static long as_argument(unsigned long value) { return static_cast<long>(value); }
  static long as_argument(int value) { return value; }
  static long as_argument(unsigned value) { return static_cast<long>(value); }

  std::unique_ptr<ExecPlan> plan_;
};

/// Why a part of the compilation failed.
struct CompileFailure {
  ExitCode exit_code = ExitCode::none;
  Error error;
};
using CompileStatus = std::optional<CompileFailure>;

}  // namespace pidward::exec
