// The file that outlives the daemon: a map from keys to texts, kept as a journal.
//
//   pidward-state 1 BOOT-ID\n          what it is, which version, of which boot
//   batch LENGTH CRC32\n PAYLOAD\n     any number of times
//
// A batch is one write(2) and holds whole entries: "KEY\tLENGTH\nTEXT\n" sets a key, "KEY\t-\n"
// removes it. A batch counts as a whole or not at all, and nothing counts after the first that is
// not whole: that is where the last daemon died. When the journal has grown to several times what
// it says, it is written anew beside itself and moved into place. Nothing is synced: the file is on
// a file system that ends with the boot, and so does its use.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "exec/gate.hpp"
#include "sys/fd.hpp"

namespace pidward::runtime {

using StateEntries = std::map<std::string, std::string, std::less<>>;

/// What could be read of a state file.
struct StateContents {
  StateEntries entries;
  /// Where reading stopped and why, when that was not at the end of the file.
  std::string damage;
};

/// Told the keys, sorted, before all that is said of them is put together.
using KeyListener = std::function<void(const std::vector<std::string_view>&)>;

/// Reads a state file. Errors: it cannot be read (not_found when there is none), it is no state
/// file, of another version, or of another boot.
Result<StateContents> read_state(const std::string& path, std::string_view boot_id,
                                 const KeyListener& keys = {});
/// The same for text that was read already. Pure.
Result<StateContents> parse_state(std::string_view text, std::string_view boot_id,
                                  const KeyListener& keys = {});

/// One set of changes that count together.
class StateBatch {
 public:
  void set(std::string_view key, std::string_view text);
  void remove(std::string_view key);
  /// What leads from `was` to `now`.
  void set_difference(const StateEntries& was, const StateEntries& now);
  [[nodiscard]] bool empty() const { return payload_.empty(); }
  /// Room for so many bytes.
  void reserve(std::size_t size) { payload_.reserve(size); }
  /// As it goes into the file: a head, the payload, and the end of a line.
  [[nodiscard]] std::string framed() const;
  [[nodiscard]] std::string head() const;
  [[nodiscard]] std::string_view payload() const { return payload_; }

 private:
  std::string payload_;
};

class StateFile {
 public:
  StateFile(std::string path, std::string boot_id)
      : path_(std::move(path)), boot_id_(std::move(boot_id)) {}

  /// Makes the file anew with these entries. Errors leave the old file as it is.
  Status rewrite(const StateEntries& entries);
  /// The same in two steps: writes the new file beside the old one, on whatever thread while
  /// nothing else is asked of us, and moves it into place with what has changed since. Errors leave
  /// the old file as it is.
  Status prepare(const StateEntries& entries);
  Status go_on(const StateBatch& changes);
  /// Goes on in the very file that is there and says `was`.
  Status resume(const StateEntries& was);
  /// Adds one batch. After an error (a full file system) the file ends where it did before, and
  /// says what it said. A gate is told before that the child behind it is in this batch.
  Status append(const StateBatch& batch, exec::Gate* gate = nullptr);
  /// Whether what is held back for bad times, so that services can still be stopped and what ends
  /// be written down, is untouched: on a full file system it is what is left.
  [[nodiscard]] bool has_room() const { return has_room_; }
  /// Tries to have that again.
  bool find_room();
  [[nodiscard]] std::uint64_t size() const { return size_; }
  /// About as long as all that it says was, when it was made or resume() found it.
  [[nodiscard]] std::uint64_t size_when_made() const { return size_when_made_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const std::string& boot_id() const { return boot_id_; }

 private:
  void hold_room();

  std::string path_;
  std::string boot_id_;
  sys::Fd fd_;
  sys::Fd prepared_;  ///< beside, and how long it is
  std::uint64_t prepared_size_ = 0;
  std::uint64_t size_ = 0;
  std::uint64_t size_when_made_ = 0;
  std::uint64_t held_ = 0;  ///< up to here writing cannot fail
  bool has_room_ = true;
};

/// CRC-32 as in IEEE 802.3.
std::uint32_t crc32(std::string_view bytes);

}  // namespace pidward::runtime
