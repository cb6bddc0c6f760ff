// What the daemon keeps on disk for the next one, read from the file itself: this works when there
// is no daemon, which is when one wants to see it.
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "bus/client/client.hpp"
#include "ctl/verbs.hpp"
#include "runtime/state_file.hpp"
#include "sys/proc.hpp"

namespace pidward::ctl {
namespace {

Result<runtime::StateContents> read(Session& session, std::string& path) {
  PIDWARD_TRY(path, bus::Client::socket_path(session.options().place));
  path.replace(path.rfind('/') + 1, std::string::npos, "state");
  PIDWARD_TRY(const std::string boot, sys::boot_id());
  return runtime::read_state(path, boot);
}

bool is_wanted(const std::string& key, const std::vector<std::string>& names) {
  if (names.empty()) return true;
  for (const std::string& name : names) {
    if (key == name || key == "unit " + name) return true;
  }
  return false;
}

void print_entry(const std::string& key, std::string_view text) {
  fmt::print("{}\n", key);
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    fmt::print("    {}\n", text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

}  // namespace

int run_state(Session& session) {
  std::string path;
  const auto contents = read(session, path);
  if (!contents) {
    return report(Error(contents.error()).within(fmt::format("The state in {}", path)));
  }
  const Options& options = session.options();
  if (options.json) {
    nlohmann::json all = nlohmann::json::object();
    for (const auto& [key, text] : contents->entries) {
      if (is_wanted(key, options.names)) all[key] = text;
    }
    fmt::print("{}\n", all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  } else {
    for (const auto& [key, text] : contents->entries) {
      if (is_wanted(key, options.names)) print_entry(key, text);
    }
  }
  if (contents->damage.empty()) return kSuccess;
  complain(fmt::format("{}: {}", path, contents->damage));
  return kFailure;
}

}  // namespace pidward::ctl
