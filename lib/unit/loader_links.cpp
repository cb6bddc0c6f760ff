// The part of SearchIndex that follows links: from paths to files, and from names to names.
#include <algorithm>
#include <set>

#include <fmt/core.h>

#include "unit/loader_index.hpp"

namespace pidward::unit {
namespace {

bool below(const std::string& path, const std::string& root) {
  return root.empty() || (path.size() > root.size() && path.compare(0, root.size(), root) == 0 &&
                          path[root.size()] == '/');
}

}  // namespace

std::string simplify_path(std::string_view path) {
  std::vector<std::string_view> parts;
  for (std::size_t at = 0; at <= path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string_view part = path.substr(at, end - at);
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
    } else if (!part.empty() && part != ".") {
      parts.push_back(part);
    }
    at = end + 1;
  }
  std::string out;
  for (const std::string_view part : parts) {
    out += '/';
    out += part;
  }
  if (out.empty()) out = "/";
  return out;
}

std::string_view base_name(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

std::string_view directory_name(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  return slash == 0 ? path.substr(0, 1) : path.substr(0, slash);
}

std::string_view strip_yaml(std::string_view name, bool& yaml) {
  constexpr std::string_view kSuffix = ".yaml";
  yaml = name.size() > kSuffix.size() && name.substr(name.size() - kSuffix.size()) == kSuffix;
  return yaml ? name.substr(0, name.size() - kSuffix.size()) : name;
}

bool may_have_aliases(UnitType type) {
  switch (type) {
    case UnitType::mount:
    case UnitType::automount:
    case UnitType::swap:
    case UnitType::slice:
      return false;
    case UnitType::service:
    case UnitType::socket:
    case UnitType::target:
    case UnitType::timer:
    case UnitType::path:
    case UnitType::scope:
    case UnitType::device:
      break;
  }
  return true;
}

std::string alias_problem(const UnitName& alias, const UnitName& target) {
  if (alias.type() != target.type()) {
    return fmt::format("a {} cannot be another name of a {}", to_string(alias.type()),
                       to_string(target.type()));
  }
  if (!may_have_aliases(alias.type())) {
    return fmt::format("{} units cannot have aliases", to_string(alias.type()));
  }
  if (alias.is_template()) {
    return target.is_template() ? "" : "a template can only be another name of a template";
  }
  if (alias.is_instance()) {
    if (target.is_template()) return "";
    if (!target.is_instance()) return "an instance can only be another name of an instance";
    return alias.instance() == target.instance() ? "" : "the instances differ";
  }
  if (target.is_template() || target.is_instance()) {
    return "a plain name cannot be another name of a template or an instance";
  }
  return "";
}

std::string SearchIndex::real_directory(const std::string& directory) const {
  if (const auto found = real_cache_.find(directory); found != real_cache_.end())
    return found->second;
  std::string real = directory;
  int links = 0;
  // Component by component: the first link found is replaced by its target and the walk begins
  // again.
  for (std::size_t at = root_.size() + 1; at <= real.size() && links < kMaxLinks;) {
    const std::size_t end = std::min(real.find('/', at), real.size());
    const std::string here = real.substr(0, end);
    if (const auto target = link_target(here)) {
      real = simplify_path(*target + real.substr(end));
      at = root_.size() + 1;
      ++links;
    } else {
      at = end + 1;
    }
  }
  real_cache_.emplace(directory, real);
  return real;
}

std::optional<std::string> SearchIndex::link_target(const std::string& path) const {
  // What is no link cannot be read as one.
  const auto text = files_.read_link(path);
  if (!text || text->empty()) return std::nullopt;
  if (text->front() != '/') {
    return simplify_path(fmt::format("{}/{}", directory_name(path), *text));
  }
  // Whoever made the link inside a --root= tree may have written it with or without the root.
  return below(*text, root_) ? simplify_path(*text) : simplify_path(root_ + *text);
}

bool SearchIndex::on_path(const std::string& directory) const {
  return real_directories_.contains(real_directory(directory));
}

Followed SearchIndex::follow(const std::string& path) const {
  Followed out;
  out.path = path;
  for (int links = 0; links < kMaxLinks; ++links) {
    if (out.path == root_ + "/dev/null") {
      out.kind = FileKind::null_device;
      return out;
    }
    auto info = files_.info(out.path);
    if (!info) {
      out.problem = fmt::format("{} cannot be looked at: {}", out.path, info.error().message());
      return out;
    }
    out.info = *info;
    out.kind = info->kind;
    if (info->kind != FileKind::symlink) return out;
    const auto target = link_target(out.path);
    if (!target) {
      out.problem = fmt::format("{} is a link that cannot be read", out.path);
      return out;
    }
    out.path = *target;
  }
  out.kind = FileKind::missing;
  out.problem = fmt::format("{} leads through more than {} links, or in a circle", path, kMaxLinks);
  return out;
}

bool SearchIndex::leads_to_mask(const std::string& path) const {
  bool yaml = false;
  const auto found = entries_.find(std::string(strip_yaml(base_name(path), yaml)));
  if (found != entries_.end()) {
    const std::string_view directory = directory_name(path);
    for (const Entry& entry : found->second) {
      if (entry.yaml != yaml || directories_[entry.directory] != directory) continue;
      const Candidate& there = candidate_of(found->first, entry);
      if (there.kind == Candidate::Kind::file) return false;
      break;
    }
  }
  return follow(path).is_mask();
}

const Candidate* SearchIndex::step(UnitName& current, Resolution& out) const {
  const auto complain = [&](const Candidate& candidate) {
    out.diagnostics.push_back(
        {Diagnostic::Severity::error, Location{candidate.path}, candidate.problem, {}});
  };
  for (int pass = 0; pass < 2; ++pass) {
    const bool by_template = pass == 1;
    if (by_template && !current.is_instance()) return nullptr;
    const std::string key = by_template ? current.template_name().str() : current.str();
    const auto found = entries_.find(key);
    if (found == entries_.end()) continue;
    const Candidate& candidate = candidate_of(key, found->second.front());
    if (candidate.kind == Candidate::Kind::bad) complain(candidate);
    if (candidate.kind != Candidate::Kind::alias) return &candidate;
    auto next = UnitName::parse(candidate.target);
    if (next && by_template) next = next->with_instance(current.instance());
    if (next) current = *next;
    return &candidate;
  }
  return nullptr;
}

Resolution SearchIndex::resolve(const UnitName& name) const {
  Resolution out(name);
  UnitName current = name;
  std::set<std::string> visited;
  std::string way = name.str();
  const Candidate* last = nullptr;
  while (visited.insert(current.str()).second) {
    const Candidate* candidate = step(current, out);
    if (candidate == nullptr) {
      if (last != nullptr) {
        out.diagnostics.push_back(
            {Diagnostic::Severity::error,
             Location{last->path},
             fmt::format("{} is a link to {}, which does not exist", last->path, last->link_text),
             {}});
      }
      return out;
    }
    if (candidate->kind == Candidate::Kind::alias) {
      way += " -> " + current.str();
      last = candidate;
      continue;
    }
    out.candidate = candidate;
    if (candidate->kind == Candidate::Kind::bad) {
      out.kind = Resolution::Kind::bad;
      return out;
    }
    out.kind =
        candidate->kind == Candidate::Kind::mask ? Resolution::Kind::mask : Resolution::Kind::file;
    out.name = current;
    collect_aliases(current, out.aliases);
    return out;
  }
  out.kind = Resolution::Kind::bad;
  out.diagnostics.push_back({Diagnostic::Severity::error,
                             Location{last->path},
                             fmt::format("the links go in a circle: {}", way),
                             {}});
  return out;
}

void SearchIndex::build_reverse() const {
  if (reverse_built_) return;
  reverse_built_ = true;
  for (const auto& [name, entries] : entries_) {
    const Candidate& candidate = candidate_of(name, entries.front());
    if (candidate.kind == Candidate::Kind::alias) reverse_[candidate.target].push_back(name);
  }
}

void SearchIndex::collect_aliases(const UnitName& name, std::vector<UnitName>& out) const {
  build_reverse();
  if (reverse_.empty()) return;
  std::set<UnitName> seen{name};
  std::vector<UnitName> todo{name};
  const auto reach = [&](const UnitName& alias) {
    if (seen.insert(alias).second) todo.push_back(alias);
  };
  while (!todo.empty()) {
    const UnitName current = todo.back();
    todo.pop_back();
    if (const auto found = reverse_.find(current.str()); found != reverse_.end()) {
      for (const std::string& alias : found->second) reach(*UnitName::parse(alias));
    }
    if (!current.is_instance()) continue;
    const auto found = reverse_.find(current.template_name().str());
    if (found == reverse_.end()) continue;
    for (const std::string& alias : found->second) {
      const auto parsed = UnitName::parse(alias);
      if (!parsed->is_template()) continue;
      const auto instance = parsed->with_instance(current.instance());
      // An instance with a file of its own is a unit of its own.
      if (instance && !entries_.contains(instance->str())) reach(*instance);
    }
  }
  seen.erase(name);
  out.assign(seen.begin(), seen.end());
}

}  // namespace pidward::unit
