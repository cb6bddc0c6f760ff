// One run of pidwardctl: the options, the connection, and how things are said.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bus/client/client.hpp"
#include "ctl/options.hpp"
#include "unit/name.hpp"

namespace pidward::ctl {

enum class Color { none, green, yellow, red, grey, bold };

class Session {
 public:
  explicit Session(Options options);

  [[nodiscard]] const Options& options() const { return options_; }
  /// The connection, made when first asked for. Prints why there is none and ends the program
  /// through Stop otherwise.
  bus::Client& client();

  /// Text for standard output in a colour, if that is a terminal.
  [[nodiscard]] std::string paint(Color color, const std::string& text) const;
  /// Columns standard output has; 0 when it is no terminal.
  [[nodiscard]] unsigned columns() const { return columns_; }

  /// Whether the verb was given no names, which it needs; complains if so.
  [[nodiscard]] bool lacks_names() const;
  /// Unit names as a person types them, made whole: "nginx" is nginx.service, or of another type
  /// `type`; patterns are the units that matching_units() finds. Names that are wrong are reported
  /// and left out; `status` is set then.
  std::vector<std::string> unit_names(int& status) { return unit_names(options_.names, status); }
  std::vector<std::string> unit_names(const std::vector<std::string>& typed_names, int& status,
                                      unit::UnitType type = unit::UnitType::service);
  /// The loaded units that a pattern stands for: those that are up, have failed or have a job, with
  /// --all every one, narrowed by --type and --state.
  std::vector<std::string> matching_units(const std::string& pattern, int& status);

  /// The verb comes to nothing: report(), and with --json an object that says it to programs.
  int fail(const Error& error) const;
  /// The same for what the command line lacks.
  int fail(const std::string& sentence) const;

 private:
  Options options_;
  std::unique_ptr<bus::Client> client_;
  bool color_ = false;
  unsigned columns_ = 0;
};

/// Ends the run with this exit code; what there was to say has been said.
struct Stop {
  int code;
};

/// Prints "pidwardctl: SENTENCE" to standard error.
void complain(const std::string& sentence);
/// complain(); kFailure.
int report(const Error& error);
/// What systemctl(1), "Exit status", has for a job that is refused; all other verbs only fail.
int exit_code_of(const Error& error);

/// Rows of cells, aligned. Styling does not count as width.
class Table {
 public:
  Table(Session& session, std::vector<std::string> header);
  struct Cell {
    std::string text;
    Color color = Color::none;
  };
  void add(std::vector<Cell> row) { rows_.push_back(std::move(row)); }
  /// The last column is cut to the terminal's width unless --full.
  void print() const;
  [[nodiscard]] std::size_t size() const { return rows_.size(); }

 private:
  Session& session_;
  std::vector<std::string> header_;
  std::vector<std::vector<Cell>> rows_;
};

/// "2026-03-01 12:00:00 CET"; "n/a" for 0.
std::string local_time(std::uint64_t usec);
/// "3min 2s ago".
std::string ago(std::uint64_t usec);

}  // namespace pidward::ctl
