#include "ctl/session.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <iterator>
#include <utility>

#include <fmt/core.h>
#include <nlohmann/json.hpp>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ctl/filters.hpp"
#include "ctl/outcome.hpp"

namespace pidward::ctl {
namespace {

/// Characters of UTF-8 text, close enough for tables.
std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U;
  }));
}

std::string cut(const std::string& text, std::size_t width) {
  if (width_of(text) <= width || width == 0) return text;
  std::string out;
  std::size_t count = 0;
  for (const char c : text) {
    if ((static_cast<unsigned char>(c) & 0xc0U) != 0x80U && ++count >= width) break;
    out += c;
  }
  return out + "\u2026";
}

}  // namespace

Session::Session(Options options) : options_(std::move(options)) {
  const char* term = std::getenv("TERM");
  const bool is_terminal = ::isatty(STDOUT_FILENO) == 1;
  const char* no_color = std::getenv("NO_COLOR");
  color_ = is_terminal && !options_.no_color && (no_color == nullptr || *no_color == '\0') &&
           term != nullptr && std::string(term) != "dumb";
  winsize size{};
  if (is_terminal && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) columns_ = size.ws_col;
}

bus::Client& Session::client() {
  if (!client_) {
    auto connected = bus::Client::connect(options_.place);
    if (!connected) {
      static_cast<void>(fail(connected.error()));
      throw Stop{kFailure};
    }
    client_ = std::make_unique<bus::Client>(*std::move(connected));
  }
  return *client_;
}

std::string Session::paint(Color color, const std::string& text) const {
  if (!color_ || color == Color::none) return text;
  const char* code = "1";
  switch (color) {
    case Color::green:
      code = "0;1;32";
      break;
    case Color::yellow:
      code = "0;1;33";
      break;
    case Color::red:
      code = "0;1;31";
      break;
    case Color::grey:
      code = "0;2";
      break;
    case Color::bold:
    case Color::none:
      break;
  }
  return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

bool Session::lacks_names() const {
  if (!options_.names.empty()) return false;
  complain(fmt::format("{} needs the name of a unit", options_.verb));
  return true;
}

std::vector<std::string> Session::matching_units(const std::string& pattern, int& status) {
  std::vector<std::string> out;
  const auto answer = client().manager("ListUnitsByPatterns", [&](bus::Writer& writer) {
    writer.as({}).as(std::vector<std::string>{pattern});
  });
  if (!answer) {
    status = report(answer.error());
    return out;
  }
  // What was logged stays when the unit is down.
  const bool every = options_.verb == "logs";
  bus::Reader in(answer->get());
  for (const bus::Data& row : bus::read_data(in).items) {
    if (every || is_wanted(options_, row)) out.push_back(row.items[0].text);
  }
  return out;
}

std::vector<std::string> Session::unit_names(const std::vector<std::string>& typed_names,
                                             int& status, unit::UnitType type) {
  std::vector<std::string> out;
  for (const std::string& typed : typed_names) {
    if (typed.find_first_of("*?[") != std::string::npos) {
      const int before = std::exchange(status, kSuccess);
      std::vector<std::string> found = matching_units(typed, status);
      if (found.empty() && status == kSuccess && !options_.quiet) {
        complain(options_.all ? fmt::format("no loaded unit matches {}", typed)
                              : fmt::format("no unit that is up, has failed or has a job matches "
                                            "{}; --all looks at all that are loaded",
                                            typed));
      }
      if (status == kSuccess) status = before;
      std::move(found.begin(), found.end(), std::back_inserter(out));
      continue;
    }
    const auto name = unit::UnitName::mangle(typed, type);
    if (!name) {
      complain(name.error().to_string());
      status = kFailure;
      continue;
    }
    out.push_back(name->str());
  }
  return out;
}

int Session::fail(const Error& error) const {
  if (options_.json) say_json(error_json(error));
  return report(error);
}

int Session::fail(const std::string& sentence) const {
  return fail(Error(Errc::invalid_argument, sentence));
}

void complain(const std::string& sentence) {
  std::fflush(stdout);
  fmt::print(stderr, "pidwardctl: {}\n", sentence);
}

int exit_code_of(const Error& error) {
  switch (error.code()) {
    case Errc::no_such_unit:
      return kNotInstalled;
    case Errc::access_denied:
    case Errc::only_by_dependency:
    case Errc::no_isolation:
    case Errc::transaction_destructive:
      return kNoPermission;
    case Errc::job_type_not_applicable:
    case Errc::not_supported:
      return kNotImplemented;
    case Errc::unit_load_failed:
      return kNotConfigured;
    case Errc::failed:
    case Errc::invalid_argument:
    case Errc::not_found:
    case Errc::limit_exceeded:
    case Errc::timed_out:
    case Errc::syntax:
    case Errc::unit_exists:
    case Errc::unit_masked:
    case Errc::unit_inactive:
    case Errc::no_such_job:
    case Errc::transaction_cyclic:
    case Errc::transaction_conflict:
    case Errc::shutting_down:
    case Errc::no_such_process:
    case Errc::process_mismatch:
      return kFailure;
  }
  return kFailure;
}

int report(const Error& error) {
  complain(error.to_string());
  return kFailure;
}

Table::Table(Session& session, std::vector<std::string> header)
    : session_(session), header_(std::move(header)) {}

void Table::print() const {
  std::vector<std::size_t> widths(header_.size(), 0);
  const bool legend = !session_.options().no_legend;
  for (std::size_t i = 0; i < header_.size(); ++i) {
    if (legend) widths[i] = width_of(header_[i]);
    for (const auto& row : rows_) widths[i] = std::max(widths[i], width_of(row[i].text));
  }
  const auto line = [&](const auto& text_of, const auto& color_of) {
    std::size_t used = 0;
    for (std::size_t i = 0; i < header_.size(); ++i) {
      std::string text = text_of(i);
      const bool last = i + 1 == header_.size();
      const bool narrow = session_.columns() != 0 && !session_.options().full;
      if (last && narrow && session_.columns() > used + 8)
        text = cut(text, session_.columns() - used);
      const std::size_t padding = last ? 0 : widths[i] + 1 - std::min(widths[i], width_of(text));
      fmt::print("{}{:{}}", session_.paint(color_of(i), text), "", padding);
      used += widths[i] + 1;
    }
    fmt::print("\n");
  };
  if (legend && !rows_.empty()) {
    line([&](std::size_t i) { return header_[i]; }, [](std::size_t) { return Color::bold; });
  }
  for (const auto& row : rows_) {
    line([&](std::size_t i) { return row[i].text; }, [&](std::size_t i) { return row[i].color; });
  }
}

std::string local_time(std::uint64_t usec) {
  if (usec == 0 || usec == UINT64_MAX) return "n/a";
  const auto seconds = static_cast<std::time_t>(usec / 1000000);
  std::tm parts{};
  ::localtime_r(&seconds, &parts);
  std::array<char, 64> buffer{};
  const std::size_t length =
      std::strftime(buffer.data(), buffer.size(), "%a %Y-%m-%d %H:%M:%S %Z", &parts);
  return {buffer.data(), length};
}

std::string ago(std::uint64_t usec) {
  const auto now = std::chrono::duration_cast<std::chrono::microseconds>(
                       std::chrono::system_clock::now().time_since_epoch())
                       .count();
  const auto passed = Duration(now - static_cast<std::int64_t>(usec));
  if (passed < Duration()) return format_span(-passed, std::chrono::seconds(1)) + " from now";
  const Duration exact = passed > std::chrono::hours(1) ? Duration(std::chrono::minutes(1))
                                                        : Duration(std::chrono::seconds(1));
  return (passed < std::chrono::seconds(1) ? "0s" : format_span(passed, exact)) + " ago";
}

}  // namespace pidward::ctl
