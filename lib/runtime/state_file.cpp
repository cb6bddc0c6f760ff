#include "runtime/state_file.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <unordered_map>

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include "base/number.hpp"

namespace pidward::runtime {
namespace {

constexpr std::string_view kMagic = "pidward-state";
constexpr std::string_view kVersion = "1";
constexpr std::size_t kLargest = 256U << 20U;
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
using LastSaid = std::unordered_map<std::string_view, std::string_view>;

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
    entries.insert_or_assign(*key, *text);
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

/// Within the kernel. How much it was.
Result<std::uint64_t> copy_all(const std::string& path, int to) {
  constexpr std::size_t kAtOnce = 1U << 30U;
  PIDWARD_TRY(const sys::Fd from, sys::open_path(path, O_RDONLY | O_NOFOLLOW));
  std::uint64_t copied = 0;
  while (true) {
    const ssize_t some = ::copy_file_range(from.get(), nullptr, to, nullptr, kAtOnce, 0);
    if (some < 0 && errno == EINTR) continue;
    if (some < 0) return Error::from_errno(errno, fmt::format("Cannot copy {}", path));
    if (some == 0) return copied;
    copied += static_cast<std::uint64_t>(some);
  }
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
  payload_ += fmt::format("{}\t{}\n", key, text.size());
  payload_ += text;
  payload_ += '\n';
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

std::string StateBatch::framed() const {
  std::string text = fmt::format("batch {} {:08x}\n", payload_.size(), crc32(payload_));
  text += payload_;
  text += '\n';
  return text;
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
  std::vector<std::pair<std::string_view, std::string_view>> sorted(last.begin(), last.end());
  std::ranges::sort(sorted);
  if (keys) {
    std::vector<std::string_view> all;
    all.reserve(sorted.size());
    for (const auto& [key, said] : sorted) all.push_back(key);
    keys(all);
  }
  for (const auto& [key, said] : sorted) {
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
  return make([&](int fd) -> Result<Sizes> {
    StateBatch batch;
    for (const auto& [key, text] : entries) batch.set(key, text);
    std::string text = header(boot_id_);
    if (!batch.empty()) text += batch.framed();
    PIDWARD_CHECK(sys::write_all(fd, text));
    return Sizes{text.size(), text.size()};
  });
}

Status StateFile::go_on(const StateEntries& was, const StateBatch& changes) {
  return make([&](int fd) -> Result<Sizes> {
    PIDWARD_TRY(const std::uint64_t copied, copy_all(path_, fd));
    const std::string text = changes.empty() ? std::string() : changes.framed();
    PIDWARD_CHECK(sys::write_all(fd, text));
    return Sizes{copied + text.size(), size_of(was) + text.size()};
  });
}

/// Beside the one that is there, in whose place it is moved.
template <typename Fill>
Status StateFile::make(const Fill& fill) {
  const std::string beside = path_ + ".new";
  PIDWARD_TRY(sys::Fd fd, sys::open_path(beside, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
  Result<Sizes> made = fill(fd.get());
  // Nothing can be copied into a file that is opened so.
  if (made && ::fcntl(fd.get(), F_SETFL, O_APPEND) != 0) {
    made = Error::from_errno(errno, fmt::format("Cannot append to {}", beside));
  }
  if (made && ::rename(beside.c_str(), path_.c_str()) != 0) {
    made = Error::from_errno(errno, fmt::format("Cannot move {} into place", beside));
  }
  if (!made) {
    ::unlink(beside.c_str());
    return std::move(made).error();
  }
  fd_ = std::move(fd);
  size_ = made->whole;
  size_when_made_ = made->said;
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
