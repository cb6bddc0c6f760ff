#include "base/error.hpp"

#include <array>
#include <cstring>

#include <fmt/core.h>

namespace pidward {

std::string Location::to_string() const {
  if (line == 0) return file;
  if (column == 0) return fmt::format("{}:{}", file, line);
  return fmt::format("{}:{}:{}", file, line, column);
}

Error Error::from_errno(int errno_value, std::string_view what) {
  std::array<char, 128> buffer{};
  const char* text = ::strerror_r(errno_value, buffer.data(), buffer.size());
  Error error(Errc::failed, fmt::format("{}: {}", what, text));
  error.sys_errno_ = errno_value;
  switch (errno_value) {
    case ENOENT:
      error.code_ = Errc::not_found;
      break;
    case ESRCH:
      error.code_ = Errc::no_such_process;
      break;
    case EPERM:
    case EACCES:
      error.code_ = Errc::access_denied;
      break;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOSPC:
    case EAGAIN:
      error.code_ = Errc::limit_exceeded;
      break;
    case ENOSYS:
    case EOPNOTSUPP:
      error.code_ = Errc::not_supported;
      break;
    case EINVAL:
      error.code_ = Errc::invalid_argument;
      break;
    default:
      break;
  }
  return error;
}

Error&& Error::within(std::string_view context) && {
  message_ = fmt::format("{}: {}", context, message_);
  return std::move(*this);
}

std::string Error::to_string() const {
  std::string text = where_ ? fmt::format("{}: {}", where_->to_string(), message_) : message_;
  if (!advice_.empty()) text += fmt::format("{} {}", text.ends_with('.') ? "" : ".", advice_);
  return text;
}

std::string_view to_string(Errc code) {
  switch (code) {
    case Errc::failed:
      return "failed";
    case Errc::invalid_argument:
      return "invalid-argument";
    case Errc::not_found:
      return "not-found";
    case Errc::access_denied:
      return "access-denied";
    case Errc::not_supported:
      return "not-supported";
    case Errc::limit_exceeded:
      return "limit-exceeded";
    case Errc::timed_out:
      return "timed-out";
    case Errc::syntax:
      return "syntax";
    case Errc::no_such_unit:
      return "no-such-unit";
    case Errc::unit_exists:
      return "unit-exists";
    case Errc::unit_masked:
      return "unit-masked";
    case Errc::unit_load_failed:
      return "unit-load-failed";
    case Errc::unit_inactive:
      return "unit-inactive";
    case Errc::only_by_dependency:
      return "only-by-dependency";
    case Errc::no_isolation:
      return "no-isolation";
    case Errc::no_such_job:
      return "no-such-job";
    case Errc::job_type_not_applicable:
      return "job-type-not-applicable";
    case Errc::transaction_destructive:
      return "transaction-destructive";
    case Errc::transaction_cyclic:
      return "transaction-cyclic";
    case Errc::transaction_conflict:
      return "transaction-conflict";
    case Errc::shutting_down:
      return "shutting-down";
    case Errc::no_such_process:
      return "no-such-process";
    case Errc::process_mismatch:
      return "process-mismatch";
  }
  return "failed";
}

}  // namespace pidward
