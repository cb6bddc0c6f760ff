#include "ctl/property_text.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <string_view>

#include <fmt/core.h>

#include "ctl/session.hpp"
#include "ctl/verbs.hpp"
#include "sys/capability.hpp"
#include "unit/value_format.hpp"
#include "unit/value_names.hpp"

namespace pidward::ctl {
namespace {

/// In quotes where a shell would make something else of it.
std::string shell_word(const std::string& word) {
  constexpr std::string_view kSpecial = "\"\\`$*?['()<>|&;! ";
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; };
  if (word.find_first_of(kSpecial) == std::string::npos &&
      std::none_of(word.begin(), word.end(), is_control)) {
    return word;
  }
  std::string quoted = "\"";
  for (const char c : word) {
    if (std::string_view("\"\\`$").find(c) != std::string_view::npos) quoted += '\\';
    if (c == '\n') {
      quoted += "\\n";
    } else if (c == '\t') {
      quoted += "\\t";
    } else if (is_control(c)) {
      quoted += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

/// What is less than a minute of it with a point: 1.500000s, 500ms, 1h 1.500000s.
std::string span_text(std::uint64_t usec) {
  struct Unit {
    std::uint64_t usec;
    int decimals;
    std::string_view suffix;
  };
  constexpr std::uint64_t kMinute = 60'000'000;
  if (usec == UINT64_MAX) return "infinity";
  const std::uint64_t rest = usec % kMinute;
  const std::string minutes = format_span(from_bus_usec(usec - rest));
  if (rest == 0) return minutes;
  const Unit unit = rest >= 1'000'000 ? Unit{1'000'000, 6, "s"}
                    : rest >= 1'000   ? Unit{1'000, 3, "ms"}
                                      : Unit{1, 0, "us"};
  const std::uint64_t part = rest % unit.usec;
  return fmt::format("{}{}{}{}", usec == rest ? "" : minutes + " ", rest / unit.usec,
                     part == 0 ? "" : fmt::format(".{:0{}}", part, unit.decimals), unit.suffix);
}

std::string signal_word(std::int64_t number) {
  const std::string name = unit::signal_name(static_cast<int>(number));
  return name.starts_with("SIG") ? name.substr(3) : name;
}

/// Exit codes, then signals by name.
std::string exit_statuses(const bus::Data& data) {
  std::string out;
  for (const bus::Data& code : data.items[0].items) out += fmt::format(" {}", code.integer());
  for (const bus::Data& signal : data.items[1].items) out += ' ' + signal_word(signal.integer());
  return out.empty() ? out : out.substr(1);
}

/// What is counted, or weighed, and is not.
bool is_amount(const std::string& name) {
  constexpr std::array<std::string_view, 9> kEnds{
      "Current", "NSec", "Weight", "Shares", "Bytes", "Packets", "Operations", "Available", "Peak"};
  return std::any_of(kEnds.begin(), kEnds.end(),
                     [&](std::string_view end) { return name.ends_with(end); });
}

std::string bytes_of(const bus::Data& data) {
  std::string bytes;
  for (const bus::Data& item : data.items) bytes += static_cast<char>(item.number);
  return bytes;
}

std::string hex_digits(const bus::Data& data) {
  std::string out;
  for (const bus::Data& item : data.items) out += fmt::format("{:02x}", item.number);
  return out;
}

std::string plain(const bus::Data& data) {
  switch (data.type) {
    case 'b':
      return data.number != 0 ? "yes" : "no";
    case 's':
    case 'o':
    case 'g':
    case 'd':
      return data.text;
    case 'a':
    case 'r':
    case 'e': {
      if (data.contents == "y") return hex_digits(data);
      std::string out;
      for (const bus::Data& item : data.items) {
        if (!out.empty()) out += ' ';
        out += data.contents == "s" ? shell_word(item.text) : plain(item);
      }
      return data.type == 'r' ? "{ " + out + " }" : out;
    }
    case 0:
      return {};
    default:
      return data.is_signed() ? std::to_string(data.integer()) : std::to_string(data.number);
  }
}

/// What became of a command of an Exec…= line.
std::string end_text(std::uint64_t code, std::int64_t status) {
  switch (code) {
    case CLD_EXITED:
      return fmt::format("code=exited ; status={}", status);
    case CLD_KILLED:
      return fmt::format("code=killed ; status={}/{}", status, signal_word(status));
    case CLD_DUMPED:
      return fmt::format("code=dumped ; status={}/{}", status, signal_word(status));
    default:
      return "code=(null) ; status=0/0";
  }
}

std::string exec_text(const bus::Data& command) {
  std::string argv;
  for (const std::string& word : command.items[1].strings())
    argv += (argv.empty() ? "" : " ") + word;
  const bool plain_form = command.contents == "sasbttttuii";
  return fmt::format(
      "{{ path={} ; argv[]={} ; {}={} ; start_time=[{}] ; stop_time=[{}] ; pid={} ; {} }}",
      command.items[0].text, argv, plain_form ? "ignore_errors" : "flags", plain(command.items[2]),
      local_time(command.items[3].number), local_time(command.items[5].number),
      command.items[7].number, end_text(command.items[8].number, command.items[9].integer()));
}

/// Processors or memory nodes.
bool is_set_of_numbers(const std::string& name) {
  constexpr std::array<std::string_view, 4> kEnds{"CPUAffinity", "NUMAMask", "CPUs", "MemoryNodes"};
  return std::any_of(kEnds.begin(), kEnds.end(),
                     [&](std::string_view end) { return name.ends_with(end); });
}

/// "0-1 3" of a bit mask, least significant byte first.
std::string ranges(const bus::Data& mask) {
  const std::string bytes = bytes_of(mask);
  const auto is_set = [&bytes](std::size_t bit) {
    return bit / 8 < bytes.size() &&
           (static_cast<unsigned char>(bytes[bit / 8]) >> (bit % 8) & 1U) != 0;
  };
  std::string out;
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    if (!is_set(bit)) continue;
    const std::size_t first = bit;
    while (is_set(bit + 1)) ++bit;
    out += out.empty() ? "" : " ";
    out += first == bit ? fmt::format("{}", first) : fmt::format("{}-{}", first, bit);
  }
  return out;
}

std::string capabilities(std::uint64_t set) {
  std::string out;
  for (int number = 0; number <= sys::last_capability(); ++number) {
    if ((set >> static_cast<unsigned>(number) & 1U) == 0) continue;
    out += (out.empty() ? "" : " ") + sys::capability_name(number);
  }
  return out;
}

/// "(bas)": a list of what is allowed, or behind a '~' of what is not.
std::string filter(const bus::Data& data) {
  const std::string words = plain(data.items[1]);
  return data.items[0].number != 0 || words.empty() ? words : '~' + words;
}

std::vector<std::string> each(const bus::Data& list, std::string (*text)(const bus::Data&)) {
  std::vector<std::string> out;
  for (const bus::Data& item : list.items) out.push_back(text(item));
  return out;
}

std::string number_text(const std::string& name, const bus::Data& data) {
  constexpr std::array<std::string_view, 2> kMoments{"NextElapseUSecRealtime", "LastTriggerUSec"};
  const bool is_moment = name.ends_with("Timestamp") ||
                         std::find(kMoments.begin(), kMoments.end(), name) != kMoments.end();
  if (is_moment) return data.number == 0 ? "" : local_time(data.number);
  if (name == "CapabilityBoundingSet" || name == "AmbientCapabilities") {
    return capabilities(data.number);
  }
  if (name.find("USec") != std::string::npos) return span_text(data.number);
  if (name.ends_with("CPUWeight") && data.number == 0) return "idle";
  if (data.number == UINT64_MAX) return is_amount(name) ? "[not set]" : "infinity";
  return plain(data);
}

}  // namespace

std::vector<std::string> property_text(const std::string& name, const bus::Data& data) {
  if (data.type == 't') return {number_text(name, data)};
  if (data.type == 'u' && (name.ends_with("Mode") || name == "UMask")) {
    return {fmt::format("{:04o}", data.number)};
  }
  if (data.type == 'u' && (name == "UID" || name == "GID") && data.number == UINT32_MAX) {
    return {"[not set]"};
  }
  if (data.type == 'r' && data.contents == "bas") return {filter(data)};
  if (name.ends_with("ExitStatus") && data.items.size() == 2) return {exit_statuses(data)};
  if (name == "Job" && data.items.size() == 2) {
    return {data.items[0].number == 0 ? "" : std::to_string(data.items[0].number)};
  }
  if (name == "LoadError" && data.items.size() == 2) {
    return {data.items[0].text.empty() ? "" : data.items[0].text + ": " + data.items[1].text};
  }
  if (is_set_of_numbers(name)) return {ranges(data)};
  if (name == "StandardInputData") return {unit::format_base64(bytes_of(data))};
  // A list with a line for each entry has none where there are none.
  if (data.type == 'a' && data.items.empty() && data.contents.starts_with('(')) return {};
  if (data.type != 'a') return {plain(data)};
  if (data.contents.ends_with("ttttuii)")) return each(data, exec_text);
  if (name == "EnvironmentFiles") {
    return each(data, [](const bus::Data& item) {
      return fmt::format("{} (ignore_errors={})", item.items[0].text, plain(item.items[1]));
    });
  }
  if (name == "Listen" || name == "Paths") {
    return each(data, [](const bus::Data& item) {
      return fmt::format("{} ({})", item.items[1].text, item.items[0].text);
    });
  }
  if (name == "TimersMonotonic") {
    return each(data, [](const bus::Data& item) {
      return fmt::format("{{ {}={} ; next_elapse={} }}", item.items[0].text,
                         span_text(item.items[1].number), span_text(item.items[2].number));
    });
  }
  if (name == "TimersCalendar") {
    return each(data, [](const bus::Data& item) {
      return fmt::format("{{ {}={} ; next_elapse={} }}", item.items[0].text, item.items[1].text,
                         local_time(item.items[2].number));
    });
  }
  if (data.contents == "(sst)") {
    std::string links;
    for (const bus::Data& item : data.items) {
      links +=
          fmt::format("{}{}:{}", links.empty() ? "" : " ", item.items[0].text, item.items[1].text);
    }
    return {links};
  }
  return {plain(data)};
}

}  // namespace pidward::ctl
