// The verbs, by subject. Each returns the exit code.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ctl/session.hpp"
#include "unit/spec.hpp"

namespace pidward::ctl {

int run_jobs(Session& session);  ///< start, stop, restart, isolate …
int run_kill(Session& session);
int run_reset_failed(Session& session);
int run_cancel(Session& session);

int run_status(Session& session);
int run_show(Session& session);
int run_cat(Session& session);
int run_logs(Session& session);
int run_is_active(Session& session);  ///< and is-failed
int run_is_enabled(Session& session);

int run_list_units(Session& session);
int run_list_unit_files(Session& session);
int run_list_jobs(Session& session);
int run_list_timers(Session& session);
int run_list_paths(Session& session);
int run_list_dependencies(Session& session);
int run_ps(Session& session);
int run_features(Session& session);

int run_unit_files(Session& session);  ///< enable, disable, mask …
int run_preset_all(Session& session);
int run_add_dependency(Session& session);  ///< add-wants, add-requires
int run_edit(Session& session);
int run_default_target(Session& session);  ///< get-default, set-default

int run_environment(Session& session);
int run_daemon_reload(Session& session);
int run_daemon_reexec(Session& session);
int run_state(Session& session);
int run_is_system_running(Session& session);
int run_exit(Session& session);

int run_verify(Session& session);

int run_run(Session& session);
int run_wait(Session& session);
int run_hold(Session& session);
int run_bind(Session& session);
int run_leases(Session& session);
int run_set_property(Session& session);

/// Whether a name is that of a process: INODE or PID:INODE.
bool names_process(const std::string& text);
/// The object of such a process. Errors: the two numbers do not belong together, it is not known.
Result<std::string> find_process(Session& session, const std::string& text);
/// What a command that ended like this makes of our own exit code: its own, or 128 and the signal.
int exit_code_of_process(std::uint64_t code, int status);

/// Calls a method of the manager and reads the first value of its answer. Nothing, and `status` is
/// set, when it failed and that was said.
std::optional<bus::Data> ask(Session& session, const char* method, int& status,
                             const std::function<void(bus::Writer&)>& fill = {});
/// Rows as JSON objects with these keys; nullptr leaves a column out.
void print_rows(const std::vector<const char*>& keys, const std::vector<const bus::Data*>& rows);
void legend(const Session& session, std::size_t count, const char* noun);
/// "Directive=Value" as a pair each. invalid_argument where there is no "=".
Result<std::vector<std::pair<std::string, std::string>>> parse_assignments(
    const std::vector<std::string>& texts);

/// Starts, stops … `names` and waits, as run_jobs() does; for --now.
int change_units(Session& session, const std::string& verb, const std::vector<std::string>& names);
/// Which of the loader's words are worth repeating: all after a load, later only what is wrong.
enum class Told : std::uint8_t { all, problems };
/// Prints the loader's complaints about a unit to standard error.
void print_diagnostics(const bus::Data& diagnostics, Told told);
/// What the files of a template say, with its drop-ins, read as one of its instances from where the
/// daemon looks for units; nullptr: there is none.
unit::UnitSpecPtr load_template(Session& session, const unit::UnitName& name);
/// Why a unit failed and what it said last, to standard error.
void explain_failure(Session& session, const std::string& unit);
/// "exited, status=203/EXEC (the program could not be executed)".
std::string exit_text(std::uint64_t code, std::int64_t status);
/// A text of somebody else's as one line that does nothing to a terminal: control characters and
/// bytes that are no UTF-8 are written as \xNN, tabs stay.
std::string printable(std::string_view text);
/// Whether what the presets say matters to a unit file in this state.
bool has_preset(std::string_view state);
/// "2 tries are left before the start limit"; UINT32_MAX: there is none.
std::string tries_text(std::uint64_t left);
/// The last lines of a unit's log, indented by `indent`.
void print_log_tail(Session& session, const std::string& unit, unsigned lines,
                    const std::string& indent, std::FILE* out);
/// Prints any bus value as JSON.
std::string to_json(const bus::Data& data);
std::string to_json(const bus::Properties& properties);

}  // namespace pidward::ctl
