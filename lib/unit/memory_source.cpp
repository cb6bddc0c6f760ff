#include "unit/memory_source.hpp"

#include <algorithm>
#include <cerrno>
#include <deque>

#include <fmt/core.h>

namespace pidward::unit {
namespace {

void push_front_components(std::deque<std::string>& todo, std::string_view path) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    if (end > at) parts.emplace_back(path.substr(at, end - at));
    at = end + 1;
  }
  todo.insert(todo.begin(), parts.begin(), parts.end());
}

/// What every path below `directory` begins with.
std::string below_of(const std::string& directory) {
  std::string out = directory;
  if (out.empty() || out.back() != '/') out += '/';
  return out;
}

}  // namespace

WallTime MemorySource::next_time() {
  return WallTime(Duration(++clock_));
}

void MemorySource::add(const std::string& path, Node node) {
  node.modified = next_time();
  nodes_[path] = std::move(node);
}

void MemorySource::add_file(const std::string& path, std::string content) {
  add(path, Node{.kind = FileKind::regular, .content = std::move(content)});
}

void MemorySource::add_executable(const std::string& path, std::string content) {
  add(path, Node{.kind = FileKind::regular, .content = std::move(content), .executable = true});
}

void MemorySource::add_link(const std::string& path, std::string target) {
  add(path, Node{.kind = FileKind::symlink, .content = std::move(target)});
}

void MemorySource::add_directory(const std::string& path) {
  add(path, Node{.kind = FileKind::directory});
}

void MemorySource::add_null_device(const std::string& path) {
  add(path, Node{.kind = FileKind::null_device});
}

void MemorySource::add_other(const std::string& path) {
  add(path, Node{.kind = FileKind::other});
}

void MemorySource::fail(const std::string& path, int errno_value) {
  failures_[path] = errno_value;
}

void MemorySource::touch(const std::string& path) {
  const auto found = nodes_.find(path);
  if (found != nodes_.end()) found->second.modified = next_time();
}

std::vector<std::string> MemorySource::paths() const {
  std::vector<std::string> out;
  out.reserve(nodes_.size());
  for (const auto& [path, node] : nodes_) out.push_back(path);
  return out;
}

Status MemorySource::injected(const std::string& path) const {
  const auto found = failures_.find(path);
  if (found == failures_.end()) return {};
  return Error::from_errno(found->second, path);
}

bool MemorySource::has_children(const std::string& path) const {
  const std::string below = below_of(path);
  const auto next = nodes_.lower_bound(below);
  return next != nodes_.end() && next->first.compare(0, below.size(), below) == 0;
}

Result<std::string> MemorySource::resolve(const std::string& path, bool follow_last) const {
  std::deque<std::string> todo;
  push_front_components(todo, path);
  std::string done;
  for (int links = 0; !todo.empty();) {
    const std::string part = std::move(todo.front());
    todo.pop_front();
    if (part == ".") continue;
    if (part == "..") {
      done.erase(done.empty() ? 0 : done.rfind('/'));
      continue;
    }
    const std::string here = done + "/" + part;
    const auto found = nodes_.find(here);
    const bool link = found != nodes_.end() && found->second.kind == FileKind::symlink;
    if (!link || (todo.empty() && !follow_last)) {
      done = here;
      continue;
    }
    if (++links > kMaxLinks) return Error::from_errno(ELOOP, path);
    if (found->second.content.rfind('/', 0) == 0) done.clear();
    push_front_components(todo, found->second.content);
  }
  if (done.empty()) done = "/";
  return done;
}

Result<FileInfo> MemorySource::info(const std::string& path) const {
  PIDWARD_CHECK(injected(path));
  PIDWARD_TRY(const std::string real, resolve(path, false));
  const auto found = nodes_.find(real);
  FileInfo info;
  if (found == nodes_.end()) {
    info.kind = has_children(real) ? FileKind::directory : FileKind::missing;
    if (real == "/dev/null") info.kind = FileKind::null_device;
    return info;
  }
  info.kind = found->second.kind;
  info.size = found->second.content.size();
  info.modified = found->second.modified;
  info.executable = found->second.executable;
  return info;
}

Result<std::string> MemorySource::read(const std::string& path, std::size_t limit) const {
  PIDWARD_CHECK(injected(path));
  PIDWARD_TRY(const std::string real, resolve(path, true));
  PIDWARD_CHECK(injected(real));
  const auto found = nodes_.find(real);
  if (found == nodes_.end()) return Error::from_errno(has_children(real) ? EISDIR : ENOENT, path);
  const Node& node = found->second;
  if (node.kind == FileKind::directory) return Error::from_errno(EISDIR, path);
  if (node.kind == FileKind::null_device) return std::string();
  if (node.kind != FileKind::regular) return Error::from_errno(EINVAL, path);
  if (node.content.size() > limit) {
    return Error(Errc::limit_exceeded, fmt::format("{} is larger than {} bytes", path, limit));
  }
  return node.content;
}

Result<std::string> MemorySource::read_link(const std::string& path) const {
  PIDWARD_CHECK(injected(path));
  PIDWARD_TRY(const std::string real, resolve(path, false));
  const auto found = nodes_.find(real);
  if (found == nodes_.end()) return Error::from_errno(ENOENT, path);
  if (found->second.kind != FileKind::symlink) return Error::from_errno(EINVAL, path);
  return found->second.content;
}

Result<std::vector<std::string>> MemorySource::list(const std::string& path) const {
  ++list_calls_;
  PIDWARD_CHECK(injected(path));
  PIDWARD_TRY(const std::string real, resolve(path, true));
  const auto self = nodes_.find(real);
  if (self != nodes_.end() && self->second.kind != FileKind::directory) {
    return Error::from_errno(ENOTDIR, path);
  }
  const std::string below = below_of(real);
  std::set<std::string> names;
  for (auto next = nodes_.lower_bound(below);
       next != nodes_.end() && next->first.compare(0, below.size(), below) == 0; ++next) {
    const std::string_view rest = std::string_view(next->first).substr(below.size());
    names.emplace(rest.substr(0, rest.find('/')));
  }
  return std::vector<std::string>(names.begin(), names.end());
}

Status MemorySource::make_link(const std::string& path, const std::string& target, bool replace) {
  PIDWARD_CHECK(injected(path));
  PIDWARD_TRY(const std::string real, resolve(path, false));
  if (!replace && nodes_.contains(real)) return Error::from_errno(EEXIST, path);
  if (has_children(real)) return Error::from_errno(EISDIR, path);
  add_link(real, target);
  return {};
}

Status MemorySource::write(const std::string& path, std::string_view content) {
  PIDWARD_CHECK(injected(path));
  PIDWARD_TRY(const std::string real, resolve(path, true));
  add_file(real, std::string(content));
  return {};
}

Status MemorySource::remove(const std::string& path) {
  PIDWARD_CHECK(injected(path));
  PIDWARD_TRY(const std::string real, resolve(path, false));
  if (has_children(real)) return Error::from_errno(EISDIR, path);
  if (nodes_.erase(real) == 0) return Error::from_errno(ENOENT, path);
  return {};
}

Status MemorySource::remove_empty_directory(const std::string& path) {
  PIDWARD_CHECK(injected(path));
  PIDWARD_TRY(const std::string real, resolve(path, false));
  const auto found = nodes_.find(real);
  if (found == nodes_.end() || has_children(real)) return {};
  if (found->second.kind != FileKind::directory) return Error::from_errno(ENOTDIR, path);
  nodes_.erase(found);
  return {};
}

Status MemorySource::remove_tree(const std::string& path) {
  PIDWARD_CHECK(injected(path));
  PIDWARD_TRY(const std::string real, resolve(path, false));
  nodes_.erase(real);
  const std::string below = below_of(real);
  auto first = nodes_.lower_bound(below);
  while (first != nodes_.end() && first->first.compare(0, below.size(), below) == 0) {
    first = nodes_.erase(first);
  }
  return {};
}

}  // namespace pidward::unit
