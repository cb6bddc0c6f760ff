#include "exec/plan.hpp"

#include "exec/plan_builder.hpp"
#include "sys/uapi.hpp"

namespace pidward::exec {
namespace {

std::vector<std::string> texts(const std::vector<char*>* array) {
  std::vector<std::string> copies;
  if (array == nullptr) return copies;
  for (const char* text : *array) {
    if (text != nullptr) copies.emplace_back(text);
  }
  return copies;
}

}  // namespace

ExecPlan::ExecPlan() : impl_(std::make_unique<Impl>()) {}
ExecPlan::~ExecPlan() = default;

const std::string& ExecPlan::program() const {
  return impl_->program;
}
std::vector<std::string> ExecPlan::arguments() const {
  return texts(impl_->arguments);
}
std::vector<std::string> ExecPlan::environment() const {
  return texts(impl_->environment);
}
bool ExecPlan::is_autokilled() const {
  return (impl_->clone_flags & sys::uapi::kClonePidfdAutokill) != 0;
}

std::pair<uid_t, gid_t> ExecPlan::owner() const {
  return impl_->owner;
}

}  // namespace pidward::exec
