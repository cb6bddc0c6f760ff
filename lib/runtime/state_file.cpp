#include "runtime/state_file.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include "base/number.hpp"

namespace pidward::runtime {
namespace {

constexpr std::string_view kMagic = "pidward-state";
constexpr std::string_view kVersion = "1";
constexpr std::size_t kLargest = 256U << 20U;
constexpr std::size_t kAround = 8;           ///< what an entry usually takes besides its texts
constexpr std::uint64_t kHeld = 64U << 10U;  ///< room held beyond the end, at least

constexpr std::size_t kSlices = 8;
using CrcTables = std::array<std::array<std::uint32_t, 256>, kSlices>;

/// The first table is the usual one; each further one is for a byte that is one further from the
/// end.
constexpr CrcTables make_crc_tables() {
  constexpr std::uint32_t kPolynomial = 0xedb88320U;
  CrcTables tables{};
  for (std::uint32_t i = 0; i < tables[0].size(); ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) {
      value = (value & 1U) != 0 ? (value >> 1U) ^ kPolynomial : value >> 1U;
    }
    tables[0][i] = value;
  }
  for (std::size_t slice = 1; slice < kSlices; ++slice) {
    for (std::size_t i = 0; i < tables[0].size(); ++i) {
      const std::uint32_t before = tables[slice - 1][i];
      tables[slice][i] = (before >> 8U) ^ tables[0][before & 0xffU];
    }
  }
  return tables;
}
constexpr CrcTables kCrcTables = make_crc_tables();

/// The text up to `end`, taken off the front together with it; nothing when `end` does not come.
std::optional<std::string_view> take_until(std::string_view& text, char end) {
  const std::size_t at = text.find(end);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view taken = text.substr(0, at);
  text.remove_prefix(at + 1);
  return taken;
}

/// `length` bytes and the line end after them.
std::optional<std::string_view> take_block(std::string_view& text, std::size_t length) {
  if (length >= text.size() || text[length] != '\n') return std::nullopt;
  const std::string_view block = text.substr(0, length);
  text.remove_prefix(length + 1);
  return block;
}

/// What is said last of each key; all of it is in the text of the file.
using LastSaid = std::map<std::string_view, std::string_view>;

/// The entries of one batch whose checksum was right: a payload that cannot be read was written so.
bool apply(std::string_view payload, LastSaid& entries) {
  while (!payload.empty()) {
    const auto key = take_until(payload, '\t');
    const auto length = key ? take_until(payload, '\n') : std::nullopt;
    if (!length) return false;
    if (*length == "-") {
      entries.erase(*key);
      continue;
    }
    const auto size = parse_number<std::size_t>(*length);
    const auto text = size ? take_block(payload, *size) : std::nullopt;
    if (!text) return false;
    // A file begins with all there was, in order.
    entries.insert_or_assign(entries.end(), *key, *text);
  }
  return true;
}

std::optional<std::string_view> take_batch(std::string_view& text) {
  constexpr std::string_view kBatch = "batch ";
  if (!text.starts_with(kBatch)) return std::nullopt;
  text.remove_prefix(kBatch.size());
  const auto length = take_until(text, ' ');
  const auto sum = length ? take_until(text, '\n') : std::nullopt;
  if (!sum) return std::nullopt;
  const auto size = parse_number<std::size_t>(*length);
  const auto expected = parse_number<std::uint32_t>(*sum, 16);
  if (!size || !expected) return std::nullopt;
  const auto payload = take_block(text, *size);
  if (!payload || crc32(*payload) != *expected) return std::nullopt;
  return payload;
}

std::string header(std::string_view boot_id) {
  return fmt::format("{} {} {}\n", kMagic, kVersion, boot_id);
}

std::uint64_t size_of(const StateEntries& entries) {
  std::uint64_t size = 0;
  for (const auto& [key, text] : entries) size += key.size() + text.size();
  return size;
}

}  // namespace

std::uint32_t crc32(std::string_view bytes) {
  std::uint32_t sum = ~0U;
  const auto byte = [&bytes](std::size_t at) { return static_cast<unsigned char>(bytes[at]); };
  // Eight bytes a turn: a daemon that takes over reads megabytes before it does anything else.
  while (bytes.size() >= kSlices) {
    std::uint32_t next = 0;
    for (std::size_t i = 0; i < sizeof sum; ++i) {
      const auto first = static_cast<unsigned char>(byte(i) ^ (sum >> (8 * i)));
      next ^= kCrcTables[7 - i][first] ^ kCrcTables[3 - i][byte(i + 4)];
    }
    sum = next;
    bytes.remove_prefix(kSlices);
  }
  for (const char one : bytes) {
    sum = (sum >> 8U) ^ kCrcTables[0][(sum ^ static_cast<unsigned char>(one)) & 0xffU];
  }
  return ~sum;
}

void StateBatch::set(std::string_view key, std::string_view text) {
  constexpr std::size_t kLongest = 24;
  std::array<char, kLongest> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), text.size()).ptr;
  payload_.append(key).append(1, '\t').append(digits.data(), end).append(1, '\n');
  payload_.append(text).append(1, '\n');
}

void StateBatch::remove(std::string_view key) {
  payload_ += fmt::format("{}\t-\n", key);
}

void StateBatch::set_difference(const StateEntries& was, const StateEntries& now) {
  for (const auto& [key, text] : was) {
    if (!now.contains(key)) remove(key);
  }
  for (const auto& [key, text] : now) {
    const auto before = was.find(key);
    if (before == was.end() || before->second != text) set(key, text);
  }
}

std::string StateBatch::head() const {
  return fmt::format("batch {} {:08x}\n", payload_.size(), crc32(payload_));
}

std::string StateBatch::framed() const {
  return head().append(payload_).append(1, '\n');
}

Result<StateContents> parse_state(std::string_view text, std::string_view boot_id,
                                  const KeyListener& keys) {
  const std::string_view whole = text;
  const auto magic = take_until(text, ' ');
  if (!magic || *magic != kMagic) return Error(Errc::syntax, "It is no state file of pidward's");
  const auto version = take_until(text, ' ');
  if (!version || *version != kVersion) {
    return Error(Errc::not_supported,
                 fmt::format("It is of version {}, and this pidward knows version {}",
                             version ? version->substr(0, 16) : "?", kVersion));
  }
  const auto boot = take_until(text, '\n');
  if (!boot || *boot != boot_id) return Error(Errc::invalid_argument, "It is of another boot");
  StateContents contents;
  LastSaid last;
  while (!text.empty()) {
    const std::size_t offset = whole.size() - text.size();
    const auto payload = take_batch(text);
    if (payload && apply(*payload, last)) continue;
    contents.damage = fmt::format("It is damaged at byte {} of {}", offset, whole.size());
    break;
  }
  if (keys) {
    std::vector<std::string_view> all;
    all.reserve(last.size());
    for (const auto& [key, said] : last) all.push_back(key);
    keys(all);
  }
  for (const auto& [key, said] : last) {
    contents.entries.emplace_hint(contents.entries.end(), key, said);
  }
  return contents;
}

Result<StateContents> read_state(const std::string& path, std::string_view boot_id,
                                 const KeyListener& keys) {
  PIDWARD_TRY(const std::string text, sys::read_file(path, kLargest));
  return parse_state(text, boot_id, keys);
}

Status StateFile::rewrite(const StateEntries& entries) {
  PIDWARD_CHECK(prepare(entries));
  return go_on({});
}

Status StateFile::prepare(const StateEntries& entries) {
  const std::string beside = path_ + ".new";
  PIDWARD_TRY(sys::Fd fd,
              sys::open_path(beside, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW, 0600));
  StateBatch batch;
  batch.reserve(size_of(entries) + kAround * entries.size());
  for (const auto& [key, text] : entries) batch.set(key, text);
  std::string head = header(boot_id_);
  if (!batch.empty()) head += batch.head();
  // Nobody reads it yet, so it need not be one write.
  std::uint64_t size = 0;
  for (const std::string_view part :
       {std::string_view(head), batch.payload(), std::string_view(batch.empty() ? "" : "\n")}) {
    if (Status written = sys::write_all(fd.get(), part); !written) {
      ::unlink(beside.c_str());
      return written;
    }
    size += part.size();
  }
  prepared_ = std::move(fd);
  prepared_size_ = size;
  return {};
}

Status StateFile::go_on(const StateBatch& changes) {
  if (!prepared_) return Error(Errc::failed, "No new state file is prepared");
  const std::string beside = path_ + ".new";
  sys::Fd fd = std::move(prepared_);
  const std::string text = changes.empty() ? std::string() : changes.framed();
  Status made = sys::write_all(fd.get(), text);
  if (made && ::rename(beside.c_str(), path_.c_str()) != 0) {
    made = Error::from_errno(errno, fmt::format("Cannot move {} into place", beside));
  }
  if (!made) {
    ::unlink(beside.c_str());
    return made;
  }
  fd_ = std::move(fd);
  size_ = size_when_made_ = prepared_size_ + text.size();
  held_ = 0;
  hold_room();
  return {};
}

/// Asks for it in steps twice as long, so that not every append has to.
void StateFile::hold_room() {
  if (held_ >= size_ + kHeld) return;
  const std::uint64_t until = size_ + 2 * kHeld;
  const bool done = ::fallocate(fd_.get(), FALLOC_FL_KEEP_SIZE, static_cast<off_t>(size_),
                                static_cast<off_t>(until - size_)) == 0;
  has_room_ = done || errno != ENOSPC;
  if (has_room_) held_ = until;
}

bool StateFile::find_room() {
  if (fd_) hold_room();
  return has_room_;
}

Status StateFile::resume(const StateEntries& was) {
  PIDWARD_TRY(fd_, sys::open_path(path_, O_WRONLY | O_APPEND | O_NOFOLLOW));
  const off_t end = ::lseek(fd_.get(), 0, SEEK_END);
  if (end < 0) return Error::from_errno(errno, fmt::format("Cannot go on with {}", path_));
  size_ = static_cast<std::uint64_t>(end);
  size_when_made_ = size_of(was);
  held_ = 0;
  hold_room();
  return {};
}

Status StateFile::append(const StateBatch& batch, exec::Gate* gate) {
  if (!fd_) return Error(Errc::failed, "There is no state file");
  const std::string text = batch.framed();
  if (gate != nullptr) gate->announce_record(fd_.get(), size_ + text.size());
  if (Status written = sys::write_all(fd_.get(), text); !written) {
    if (::ftruncate(fd_.get(), static_cast<off_t>(size_)) != 0) fd_.reset();
    held_ = 0;
    has_room_ = false;
    return written;
  }
  size_ += text.size();
  hold_room();
  return {};
}

}  // namespace pidward::runtime
