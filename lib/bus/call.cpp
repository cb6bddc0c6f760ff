#include "bus/call.hpp"

#include <fmt/core.h>

#include "base/log.hpp"
#include "bus/error_names.hpp"
#include "bus/memory.hpp"

namespace pidward::bus {
namespace {

std::string_view view(const char* text) {
  return text == nullptr ? std::string_view() : text;
}

}  // namespace

Call::Call(Services& services, std::shared_ptr<Connection> connection, sd_bus_message* message)
    : services_(services),
      connection_(std::move(connection)),
      message_(MessageRef::share(message)),
      in_(message) {}

std::shared_ptr<Call> Call::begin(Services& services, std::shared_ptr<Connection> connection,
                                  sd_bus_message* message) {
  const bool admitted = connection->begin_call();
  std::shared_ptr<Call> call(new Call(services, std::move(connection), message));
  call->is_counted_ = admitted;
  if (admitted) return call;
  call->fail(Error(Errc::limit_exceeded, "too many calls of this client wait for their answer")
                 .advise("wait for some of them"));
  return nullptr;
}

Call::~Call() {
  if (!is_answered_) fail(Error(Errc::shutting_down, "the request was dropped"));
  if (is_counted_) connection_->end_call();
}

std::string_view Call::interface() const {
  return view(sd_bus_message_get_interface(message()));
}
std::string_view Call::member() const {
  return view(sd_bus_message_get_member(message()));
}
std::string_view Call::path() const {
  return view(sd_bus_message_get_path(message()));
}
std::string_view Call::sender() const {
  return connection_->is_broker() ? view(sd_bus_message_get_sender(message())) : std::string_view();
}
std::string Call::client() const {
  if (connection_->is_broker()) return std::string(sender());
  return fmt::format("private-{}", static_cast<const void*>(connection_.get()));
}

void Call::finish(sd_bus_message* answer) {
  is_answered_ = true;
  if (answer != nullptr) connection_->send(answer);
}

void Call::reply(const std::function<void(Writer&)>& fill) {
  if (is_answered_ || !connection_->is_open()) {
    is_answered_ = true;
    return;
  }
  if (sd_bus_message_get_expect_reply(message()) <= 0) return finish(nullptr);
  sd_bus_message* raw = nullptr;
  if (checked(sd_bus_message_new_method_return(message(), &raw)) < 0) return finish(nullptr);
  const MessageRef answer = MessageRef::adopt(raw);
  Writer out(raw);
  fill(out);
  // Who asked would wait for the answer in vain.
  if (checked(-out.error()) != 0) {
    const Error problem = Error::from_errno(out.error(), "the answer could not be written");
    log(LogLevel::error, fmt::format("bus: {}.{}: {}", interface(), member(), problem.message()));
    return fail(problem);
  }
  finish(raw);
}

void Call::fail(const Error& error) {
  fail(error_name(error.code()), error_text(error));
}

void Call::fail(std::string_view name, const std::string& text) {
  if (is_answered_ || !connection_->is_open()) {
    is_answered_ = true;
    return;
  }
  if (sd_bus_message_get_expect_reply(message()) <= 0) return finish(nullptr);
  BusError error;
  sd_bus_error_set(error.out(), std::string(name).c_str(), clean_utf8(text).c_str());
  sd_bus_message* raw = nullptr;
  if (checked(sd_bus_message_new_method_error(message(), &raw, error.get())) < 0) {
    return finish(nullptr);
  }
  const MessageRef answer = MessageRef::adopt(raw);
  finish(raw);
}

}  // namespace pidward::bus
