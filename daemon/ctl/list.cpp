// Listings: units, unit files, jobs, dependencies, processes, kernel features.
#include <algorithm>
#include <functional>
#include <set>

#include <fmt/core.h>
#include <fnmatch.h>

#include "bus/object_path.hpp"
#include "ctl/filters.hpp"
#include "ctl/verbs.hpp"

namespace pidward::ctl {
namespace {

Color color_of(const std::string& state) {
  if (state == "failed" || state == "not-found" || state == "bad-setting" || state == "error" ||
      state == "masked") {
    return Color::red;
  }
  if (state == "active" || state == "enabled") return Color::green;
  if (state == "activating" || state == "deactivating" || state == "reloading")
    return Color::yellow;
  return Color::none;
}

/// "nginx" finds nginx.service too.
bool matches(const std::string& name, const std::vector<std::string>& patterns) {
  return patterns.empty() ||
         std::any_of(patterns.begin(), patterns.end(), [&](const std::string& p) {
           return ::fnmatch(p.c_str(), name.c_str(), 0) == 0 ||
                  ::fnmatch((p + ".service").c_str(), name.c_str(), 0) == 0;
         });
}

}  // namespace

bool has_preset(std::string_view state) {
  return state != "static" && state != "alias" && state != "generated" && state != "transient";
}

std::optional<bus::Data> ask(Session& session, const char* method, int& status,
                             const std::function<void(bus::Writer&)>& fill) {
  const auto answer = session.client().manager(method, fill);
  if (!answer) {
    status = session.fail(answer.error());
    return std::nullopt;
  }
  bus::Reader in(answer->get());
  return bus::read_data(in);
}

/// Rows as JSON objects with these keys.
void print_rows(const std::vector<const char*>& keys, const std::vector<const bus::Data*>& rows) {
  bus::Data list{.type = 'a', .contents = "a{sv}"};
  for (const bus::Data* row : rows) {
    bus::Data object{.type = 'a', .contents = "{sv}"};
    for (std::size_t i = 0; i < keys.size() && i < row->items.size(); ++i) {
      if (keys[i] == nullptr) continue;
      bus::Data key{.type = 's', .text = keys[i]};
      object.items.push_back({.type = 'e', .items = {key, row->items[i]}});
    }
    list.items.push_back(std::move(object));
  }
  fmt::print("{}\n", to_json(list));
}

void legend(const Session& session, std::size_t count, const char* noun) {
  if (!session.options().no_legend) fmt::print("\n{} {} listed.\n", count, noun);
}

int run_list_units(Session& session) {
  const Options& options = session.options();
  int status = kSuccess;
  const auto answer =
      ask(session, "ListUnitsFiltered", status, [&](bus::Writer& out) { out.as(options.states); });
  if (!answer) return status;
  std::vector<const bus::Data*> rows;
  for (const bus::Data& row : answer->items) {
    const std::string& name = row.items[0].text;
    if (is_wanted(options, row) && matches(name, options.names)) rows.push_back(&row);
  }
  std::sort(rows.begin(), rows.end(),
            [](const auto* a, const auto* b) { return a->items[0].text < b->items[0].text; });
  if (options.json) {
    print_rows({"unit", "description", "load", "active", "sub"}, rows);
    return kSuccess;
  }
  Table table(session, {" ", "UNIT", "LOAD", "ACTIVE", "SUB", "DESCRIPTION"});
  for (const bus::Data* row : rows) {
    const std::string& load = row->items[2].text;
    const std::string& active = row->items[3].text;
    const bool bad = active == "failed" || load != "loaded";
    table.add({{options.plain ? " "
                : bad         ? "\u25cf"
                              : " ",
                Color::red},
               {row->items[0].text},
               {load, load == "loaded" ? Color::none : Color::red},
               {active, color_of(active)},
               {row->items[4].text},
               {row->items[1].text}});
  }
  table.print();
  legend(session, rows.size(), "units");
  return kSuccess;
}

int run_list_unit_files(Session& session) {
  const Options& options = session.options();
  int status = kSuccess;
  const auto answer = ask(session, "ListUnitFilesByPatterns", status,
                          [&](bus::Writer& out) { out.as(options.states).as({}); });
  if (!answer) return status;
  std::vector<bus::Data> kept;
  for (const bus::Data& row : answer->items) {
    bus::Data shown = row;
    std::string& path = shown.items[0].text;
    path = path.substr(path.rfind('/') + 1);
    constexpr std::string_view kYaml = ".yaml";
    if (path.size() > kYaml.size() &&
        path.compare(path.size() - kYaml.size(), kYaml.size(), kYaml) == 0) {
      path.resize(path.size() - kYaml.size());
    }
    if (has_type(options, path) && matches(path, options.names)) kept.push_back(std::move(shown));
  }
  std::sort(kept.begin(), kept.end(),
            [](const auto& a, const auto& b) { return a.items[0].text < b.items[0].text; });
  // "Is there such a file" is a question as well.
  status = kept.empty() ? kFailure : kSuccess;
  if (options.json) {
    std::vector<const bus::Data*> rows;
    for (const bus::Data& row : kept) rows.push_back(&row);
    print_rows({"unit_file", "state"}, rows);
    return status;
  }
  Table table(session, {"UNIT FILE", "STATE", "PRESET"});
  for (const bus::Data& row : kept) {
    const std::string& name = row.items[0].text;
    const auto preset =
        session.client().manager("GetUnitFilePreset", [&](bus::Writer& out) { out.s(name); });
    const bool shown = preset && has_preset(row.items[1].text);
    const std::string word = shown ? bus::Reader(preset->get()).s() : std::string();
    table.add(
        {{name}, {row.items[1].text, color_of(row.items[1].text)}, {word.empty() ? "-" : word}});
  }
  table.print();
  legend(session, kept.size(), "unit files");
  return status;
}

int run_list_jobs(Session& session) {
  int status = kSuccess;
  const auto answer = ask(session, "ListJobs", status);
  if (!answer) return status;
  std::vector<const bus::Data*> rows;
  for (const bus::Data& row : answer->items) {
    if (matches(row.items[1].text, session.options().names)) rows.push_back(&row);
  }
  if (session.options().json) {
    print_rows({"job", "unit", "type", "state"}, rows);
    return kSuccess;
  }
  if (rows.empty()) {
    if (!session.options().no_legend) fmt::print("No jobs running.\n");
    return kSuccess;
  }
  Table table(session, {"JOB", "UNIT", "TYPE", "STATE", "WAITS FOR"});
  for (const bus::Data* row : rows) {
    std::string before;
    const auto others = session.client().manager("GetJobBefore", [&](bus::Writer& out) {
      out.u(static_cast<std::uint32_t>(row->items[0].number));
    });
    if (others) {
      bus::Reader in(others->get());
      for (const bus::Data& other : bus::read_data(in).items) {
        before += (before.empty() ? "" : " ") + other.items[1].text;
      }
    }
    table.add({{std::to_string(row->items[0].number)},
               {row->items[1].text},
               {row->items[2].text},
               {row->items[3].text},
               {before}});
  }
  table.print();
  legend(session, rows.size(), "jobs");
  return kSuccess;
}

namespace {

struct Walk {
  Session& session;
  std::vector<std::string> kinds;
  std::set<std::string> open;  ///< units on the way from the root, against cycles
  std::size_t shown = 0;
};
constexpr unsigned kMaxDepth = 64;

void walk(Walk& state, const std::string& unit, const std::string& indent, unsigned depth) {
  const auto all = state.session.client().properties(bus::unit_path(unit), bus::kUnitInterface);
  if (!all || depth > kMaxDepth) return;
  std::set<std::string> others;
  for (const std::string& kind : state.kinds) {
    for (const std::string& other : all->strings(kind)) others.insert(other);
  }
  state.open.insert(unit);
  const bool flat = state.session.options().plain;
  std::size_t left = others.size();
  for (const std::string& other : others) {
    --left;
    const auto active =
        state.session.client().property(bus::unit_path(other), bus::kUnitInterface, "ActiveState");
    const std::string word = active ? active->text : "unknown";
    const std::string dot =
        flat ? "" : state.session.paint(color_of(word), word == "inactive" ? "\u25cb " : "\u25cf ");
    const std::string branch = flat ? "  " : left == 0 ? "\u2514\u2500" : "\u251c\u2500";
    fmt::print("{}{}{}{}\n", dot, indent, branch, other);
    ++state.shown;
    const bool is_target = other.size() > 7 && other.compare(other.size() - 7, 7, ".target") == 0;
    const bool deeper = state.session.options().all || is_target;
    if (deeper && state.open.count(other) == 0) {
      walk(state, other, indent + (flat || left == 0 ? "  " : "\u2502 "), depth + 1);
    }
  }
  state.open.erase(unit);
}

}  // namespace

int run_list_dependencies(Session& session) {
  const Options& options = session.options();
  int status = kSuccess;
  std::vector<std::string> names = session.unit_names(status);
  if (options.names.empty()) names = {"default.target"};
  Walk state{.session = session};
  if (options.after) {
    state.kinds = {"After"};
  } else if (options.before) {
    state.kinds = {"Before"};
  } else if (options.reverse) {
    state.kinds = {"RequiredBy", "RequisiteOf", "WantedBy", "ConsistsOf", "BoundBy", "UpheldBy"};
  } else {
    state.kinds = {"Requires", "Requisite", "Wants", "BindsTo", "Upholds"};
  }
  if (options.json) {
    bus::Data list{.type = 'a', .contents = "{sv}"};
    for (const std::string& name : names) {
      const auto all = session.client().properties(bus::unit_path(name), bus::kUnitInterface);
      if (!all) return report(all.error());
      bus::Data others{.type = 'a', .contents = "s"};
      for (const std::string& kind : state.kinds) {
        for (const bus::Data& other : all->data(kind).items) others.items.push_back(other);
      }
      bus::Data key{.type = 's', .text = name};
      list.items.push_back({.type = 'e', .items = {key, others}});
    }
    fmt::print("{}\n", to_json(list));
    return status;
  }
  for (const std::string& name : names) {
    const auto load =
        session.client().property(bus::unit_path(name), bus::kUnitInterface, "LoadState");
    if (!load) {
      status = report(load.error());
      continue;
    }
    fmt::print("{}\n", name);
    walk(state, name, "", 0);
  }
  return status;
}

namespace {

/// By which of these means the processes of units are held together, and die with the daemon.
int show_means(Session& session) {
  int status = kSuccess;
  const std::vector<std::string> names = session.unit_names(status);
  bus::Data list{.type = 'a', .contents = "r"};
  for (const std::string& name : names) {
    const auto all = session.client().properties(bus::unit_path(name));
    if (!all) {
      status = report(all.error());
      continue;
    }
    if (!all->has("TreeMeans")) {
      complain(fmt::format("{} has no processes of its own", name));
      status = kFailure;
      continue;
    }
    bus::Data row{.type = 'r'};
    row.items = {
        {.type = 's', .text = name}, all->data("TreeMeans"), all->data("ManagerExitMeans")};
    list.items.push_back(std::move(row));
  }
  std::vector<const bus::Data*> rows;
  for (const bus::Data& row : list.items) rows.push_back(&row);
  if (session.options().json) {
    print_rows({"unit", "tree", "manager_exit"}, rows);
    return status;
  }
  Table table(session, {"UNIT", "TREE", "MANAGER EXIT"});
  for (const bus::Data* row : rows) {
    table.add({{row->items[0].text}, {row->items[1].text}, {row->items[2].text}});
  }
  table.print();
  return status;
}

}  // namespace

int run_features(Session& session) {
  if (!session.options().names.empty()) return show_means(session);
  int status = kSuccess;
  const auto answer = ask(session, "GetKernelFeatures", status);
  if (!answer) return status;
  std::vector<const bus::Data*> rows;
  for (const bus::Data& row : answer->items) rows.push_back(&row);
  if (session.options().json) {
    print_rows({"feature", "state", "since", "what"}, rows);
    return kSuccess;
  }
  Table table(session, {"FEATURE", "STATE", "SINCE", "WHAT IS DONE"});
  for (const bus::Data* row : rows) {
    const bool has = row->items[1].text == "available";
    table.add({{row->items[0].text},
               {row->items[1].text, has ? Color::green : Color::yellow},
               {row->items[2].text},
               {row->items[3].text}});
  }
  table.print();
  return kSuccess;
}

}  // namespace pidward::ctl
