// Processes: listed, flat and as trees.
#include <algorithm>
#include <map>
#include <set>

#include <fmt/core.h>

#include "ctl/verbs.hpp"

namespace pidward::ctl {
namespace {

/// Columns of ListProcesses.
enum Column : std::size_t { kInode, kPid, kParent, kUnit, kRole, kCommand };

struct Tree {
  std::map<std::uint64_t, std::vector<const bus::Data*>> children;  ///< by number of the parent
  std::set<std::uint64_t> shown;
};

void add_branch(Table& table, Tree& tree, const bus::Data& row, const std::string& indent,
                const std::string& branch) {
  if (!tree.shown.insert(row.items[kPid].number).second) return;
  table.add({{std::to_string(row.items[kInode].number)},
             {std::to_string(row.items[kPid].number)},
             {row.items[kRole].text},
             {indent + branch + printable(row.items[kCommand].text)}});
  const auto children = tree.children.find(row.items[kPid].number);
  if (children == tree.children.end()) return;
  const std::string deeper = branch.empty()             ? indent
                             : branch == "\u251c\u2500" ? indent + "\u2502 "
                                                        : indent + "  ";
  for (std::size_t i = 0; i < children->second.size(); ++i) {
    const bool last = i + 1 == children->second.size();
    add_branch(table, tree, *children->second[i], deeper, last ? "\u2514\u2500" : "\u251c\u2500");
  }
}

/// One tree for each unit; a process whose parent is not of the unit is a root.
void print_trees(Session& session, const std::vector<const bus::Data*>& rows) {
  std::map<std::string, std::vector<const bus::Data*>> units;
  for (const bus::Data* row : rows) units[row->items[kUnit].text].push_back(row);
  bool first = true;
  for (const auto& [unit, members] : units) {
    if (!std::exchange(first, false)) fmt::print("\n");
    fmt::print("{}\n", session.paint(Color::bold, unit));
    std::set<std::uint64_t> numbers;
    for (const bus::Data* row : members) numbers.insert(row->items[kPid].number);
    Tree tree;
    std::vector<const bus::Data*> roots;
    for (const bus::Data* row : members) {
      const bool is_root = numbers.count(row->items[kParent].number) == 0;
      (is_root ? roots : tree.children[row->items[kParent].number]).push_back(row);
    }
    Table table(session, {"PROCESS", "PID", "ROLE", "COMMAND"});
    for (const bus::Data* root : roots) add_branch(table, tree, *root, "", "");
    table.print();
  }
}

}  // namespace

int run_ps(Session& session) {
  int status = kSuccess;
  const std::vector<std::string> names = session.unit_names(status);
  if (names.empty() && !session.options().names.empty()) {
    return session.fail("none of these names a unit");
  }
  const auto answer =
      ask(session, "ListProcesses", status, [&](bus::Writer& out) { out.as(names); });
  if (!answer) return status;
  std::vector<const bus::Data*> rows;
  for (const bus::Data& row : answer->items) rows.push_back(&row);
  if (session.options().json) {
    print_rows({"process", "pid", "parent", "unit", "role", "command"}, rows);
    return status;
  }
  if (session.options().tree) {
    print_trees(session, rows);
    return status;
  }
  Table table(session, {"PROCESS", "PID", "UNIT", "ROLE", "COMMAND"});
  for (const bus::Data* row : rows) {
    table.add({{std::to_string(row->items[kInode].number)},
               {std::to_string(row->items[kPid].number)},
               {row->items[kUnit].text},
               {row->items[kRole].text},
               {printable(row->items[kCommand].text)}});
  }
  table.print();
  legend(session, rows.size(), "processes");
  return status;
}

}  // namespace pidward::ctl
