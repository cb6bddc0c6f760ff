#include "engine/record.hpp"

#include "unit/directive.hpp"

namespace pidward::engine {
namespace {

void append_escaped(std::string& out, std::string_view text) {
  while (!text.empty()) {
    const std::size_t plain = std::min(text.find_first_of("\n\\"), text.size());
    out += text.substr(0, plain);
    text.remove_prefix(plain);
    if (text.empty()) return;
    out += text.front() == '\n' ? "\\n" : "\\\\";
    text.remove_prefix(1);
  }
}

std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
    } else {
      ++i;
      out += text[i] == 'n' ? '\n' : text[i];
    }
  }
  return out;
}

/// Of all directives only these are ever named.
bool is_list_of_commands(std::string_view name) {
  return name.starts_with("Exec");
}

const std::vector<unit::Directive>& lists_of_commands() {
  static const std::vector<unit::Directive> kLists = [] {
    std::vector<unit::Directive> lists;
    for (std::size_t i = 0; i < static_cast<std::size_t>(unit::Directive::count_); ++i) {
      const auto candidate = static_cast<unit::Directive>(i);
      if (is_list_of_commands(unit::row(candidate).name)) lists.push_back(candidate);
    }
    return lists;
  }();
  return kLists;
}

}  // namespace

void Saver::begin(std::string_view key, std::string_view member) {
  constexpr std::size_t kUsual = 1024;
  if (out_.empty()) out_.reserve(kUsual);
  out_ += prefix_;
  out_ += key;
  out_ += member;
  out_ += '=';
}

void Saver::put(std::string_view key, std::string_view value) {
  begin(key, {});
  out_ += value;
  out_ += '\n';
}

void Saver::now(std::string_view key, const Now& value) {
  const auto put_time = [&](std::string_view member, Duration::rep time) {
    if (time != 0) put_number(key, member, time);
  };
  put_time(".mono", value.mono.time_since_epoch().count());
  put_time(".wall", value.wall.time_since_epoch().count());
}

void Saver::text(std::string_view key, const std::string& value) {
  if (value.empty()) return;
  begin(key, {});
  append_escaped(out_, value);
  out_ += '\n';
}

void Saver::directive(std::string_view key, const unit::Directive& value) {
  const std::string_view name = unit::row(value).name;
  if (is_list_of_commands(name)) put(key, name);
}

void Saver::status(std::string_view key, const ExitStatus& value) {
  const auto kind = static_cast<std::uint32_t>(value.kind);
  if (kind != 0) put_number(key, ".kind", kind);
  if (value.code != 0) put_number(key, ".code", value.code);
}

Loader::Loader(std::string_view text, ProcessMap processes) : processes_(std::move(processes)) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) {
      good_ = false;
      continue;
    }
    lines_.push_back({line.substr(0, equals), line.substr(equals + 1)});
    marks_.set(mark_of({}, lines_.back().key, {}));
  }
}

/// A number that two keys, each in its parts, seldom share.
std::size_t Loader::mark_of(std::string_view prefix, std::string_view key,
                            std::string_view member) {
  const std::size_t length = prefix.size() + key.size() + member.size();
  const auto byte = [&](std::size_t at) -> std::size_t {
    for (const std::string_view part : {prefix, key, member}) {
      if (at < part.size()) return static_cast<unsigned char>(part[at]);
      at -= part.size();
    }
    return 0;
  };
  return (length * 61 + byte(0) * 31 + byte(length / 2) * 7 + byte(length - 1)) % kMarks;
}

const std::string_view* Loader::find(std::string_view key, std::string_view member) {
  // Most of what could be said is not.
  if (!marks_.test(mark_of(prefix_, key, member))) return nullptr;
  const std::size_t length = prefix_.size() + key.size() + member.size();
  for (std::size_t i = 0, at = next_; i < lines_.size(); ++i, ++at) {
    if (at == lines_.size()) at = 0;
    const std::string_view found = lines_[at].key;
    if (found.size() != length || !found.starts_with(prefix_) || !found.ends_with(member)) continue;
    if (found.substr(prefix_.size(), key.size()) != key) continue;
    next_ = at + 1;
    return &lines_[at].value;
  }
  return nullptr;
}

void Loader::now(std::string_view key, Now& value) {
  const auto read = [&](std::string_view member, auto& time) {
    Duration::rep raw = time.time_since_epoch().count();
    read_number(find(key, member), raw);
    time = std::remove_reference_t<decltype(time)>(Duration(raw));
  };
  read(".mono", value.mono);
  read(".wall", value.wall);
}

void Loader::text(std::string_view key, std::string& value) {
  if (const std::string_view* const found = find(key)) value = unescape(*found);
}

void Loader::directive(std::string_view key, unit::Directive& value) {
  const std::string_view* const found = find(key);
  if (found == nullptr) return;
  for (const unit::Directive candidate : lists_of_commands()) {
    if (unit::row(candidate).name != *found) continue;
    value = candidate;
    return;
  }
  good_ = false;
}

void Loader::process(std::string_view key, ProcessId& value) {
  id(key, value);
  if (value && processes_) value = processes_(value);
}

void Loader::status(std::string_view key, ExitStatus& value) {
  choice(std::string(key) + ".kind", value.kind, ExitStatus::Kind::dumped);
  number(std::string(key) + ".code", value.code);
}

}  // namespace pidward::engine
