// Asking polkit whether a caller who is neither root nor our own user may change something. Only
// where polkit is running on the system bus: it is never started for this.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <unordered_map>

#include "bus/call.hpp"

namespace pidward::bus {

/// The action a method falls under: org.pidward1.manage-units, manage-unit-files, set-environment
/// or reload-daemon.
std::string_view polkit_action(std::string_view member);

class Polkit {
 public:
  enum class Verdict : std::uint8_t {
    yes,
    no,
    needs_password,  ///< somebody would have to be asked, and the caller did not allow that
    absent,          ///< polkit does not run, or the caller cannot be described to it
  };
  using Answer = std::function<void(Verdict)>;

  /// The system bus, or null while there is none; questions under way end unanswered with it.
  void set_bus(std::shared_ptr<Connection> bus);
  void ask(const CallPtr& call, const sys::KernelFeatures& features, Answer answer);

 private:
  std::shared_ptr<Connection> bus_;
  std::uint64_t next_ = 1;
  std::unordered_map<std::uint64_t, SlotPtr> questions_;
};

}  // namespace pidward::bus
