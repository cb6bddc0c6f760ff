// Descriptors for a child that does not get a copy of all of ours. Copying thousands of them, and
// closing them again at its exec, would take longer than all else a start does: such a child shares
// our table until its gate opens, keeps what is below a low number, and takes what its plan uses
// out of a message. Internal to the layer.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/result.hpp"
#include "sys/fd.hpp"

namespace pidward::exec {

/// Low numbers that are ours to use, however many descriptors there are by now.
class LowNumbers {
 public:
  /// Room for this many children on their way at a time.
  static constexpr int kCount = 64;
  /// A limit on descriptors below this is worth keeping for services.
  static constexpr unsigned long kLeastLimit = 1024;
  /// Most descriptors that fit into one message (SCM_MAX_FD of the kernel).
  static constexpr std::size_t kMostInMessage = 253;

  /// One number. While it is held a message waits there for the child; what was not taken out by
  /// then goes when it is given back.
  class Held {
   public:
    Held(std::shared_ptr<LowNumbers> numbers, std::size_t place)
        : numbers_(std::move(numbers)), place_(place) {}
    Held(Held&& other) noexcept = default;
    Held& operator=(Held&& other) noexcept;
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;
    ~Held() { give_back(); }
    [[nodiscard]] int number() const { return numbers_->slots_[place_].number.get(); }

   private:
    void give_back() noexcept;
    std::shared_ptr<LowNumbers> numbers_;
    std::size_t place_;
  };

  /// Keeps the numbers from now on. Errors: no descriptors, or so few are allowed that none are to
  /// spare (limit_exceeded), or the kernel does not know close_range(2) (Linux 5.9).
  static Result<std::shared_ptr<LowNumbers>> keep();

  /// Everything from this number on the child leaves behind.
  [[nodiscard]] int end() const { return end_; }
  /// Puts copies of `descriptors` into a message at a low number. Nothing where all are in use, or
  /// the kernel does not take it: then the child has to get a copy of everything.
  static std::optional<Held> hand_over(const std::shared_ptr<LowNumbers>& numbers,
                                       const std::vector<int>& descriptors);

 private:
  /// A socket at a low number, and where messages for it are put in. Made when it is needed, and
  /// one that nobody holds is kept: a pair of sockets for each child would cost more than the
  /// message does.
  struct Slot {
    sys::Fd number;  ///< without a socket something else keeps the place
    sys::Fd sender;
  };
  [[nodiscard]] static bool make_socket(Slot& slot);
  void take_back(std::size_t place) noexcept;

  sys::Fd idle_;  ///< what keeps a place
  std::vector<Slot> slots_;
  std::vector<std::size_t> free_;  ///< the last one is the next, and may have a socket
  int end_ = 0;
};

}  // namespace pidward::exec
