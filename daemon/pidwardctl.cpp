// pidwardctl: the command line. Reads the arguments; the verbs are in ctl/.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <map>
#include <optional>

#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include "ctl/filters.hpp"
#include "ctl/verbs.hpp"

namespace {

using pidward::ctl::Options;
using pidward::ctl::Session;

constexpr std::size_t kAny = SIZE_MAX;

struct Verb {
  const char* name;
  int (*run)(Session&);
  const char* help;
  std::size_t most_names = kAny;
};

namespace ctl = pidward::ctl;
constexpr Verb kVerbs[] = {
    {"list-units", ctl::run_list_units, "List units in memory"},
    {"list-unit-files", ctl::run_list_unit_files, "List unit files on the search path"},
    {"list-jobs", ctl::run_list_jobs, "List queued jobs and what each waits for"},
    {"list-timers", ctl::run_list_timers, "List timers, the next to elapse first"},
    {"list-paths", ctl::run_list_paths, "List paths that are watched"},
    {"list-dependencies", ctl::run_list_dependencies, "Show units a unit needs, as a tree"},
    {"status", ctl::run_status, "Show state, processes and last log lines of units"},
    {"show", ctl::run_show, "Show properties of units, or of the manager"},
    {"cat", ctl::run_cat, "Show the files of units"},
    {"logs", ctl::run_logs, "Show the log of units; -f follows"},
    {"ps", ctl::run_ps, "List processes with unit, inode and role; --tree by parent"},
    {"run", ctl::run_run, "Run a command as a unit of its own"},
    {"start", ctl::run_jobs, "Start units"},
    {"stop", ctl::run_jobs, "Stop units"},
    {"restart", ctl::run_jobs, "Restart units, starting those that do not run"},
    {"try-restart", ctl::run_jobs, "Restart units that run"},
    {"reload", ctl::run_jobs, "Make units read their configuration again"},
    {"reload-or-restart", ctl::run_jobs, "Reload units that can, restart the others"},
    {"try-reload-or-restart", ctl::run_jobs, "The same for units that run"},
    {"isolate", ctl::run_jobs, "Start one unit and stop all others"},
    {"kill", ctl::run_kill, "Send a signal to units' processes, or to one process or its tree"},
    {"wait", ctl::run_wait, "Wait until units or processes have ended"},
    {"hold", ctl::run_hold, "Keep a unit running for as long as a command runs"},
    {"bind", ctl::run_bind, "Stop a unit when a process ends"},
    {"leases", ctl::run_leases, "List who holds which unit or process", 0},
    {"cancel", ctl::run_cancel, "Cancel jobs, or all of them"},
    {"reset-failed", ctl::run_reset_failed, "Forget that units failed"},
    {"is-active", ctl::run_is_active, "Exit with 0 if a unit is active"},
    {"is-failed", ctl::run_is_active, "Exit with 0 if a unit has failed"},
    {"is-enabled", ctl::run_is_enabled, "Exit with 0 if a unit is enabled"},
    {"is-system-running", ctl::run_is_system_running, "Exit with 0 if everything is fine", 0},
    {"enable", ctl::run_unit_files, "Make the links of units' [Install] sections"},
    {"disable", ctl::run_unit_files, "Remove them"},
    {"reenable", ctl::run_unit_files, "Remove and make them again"},
    {"preset", ctl::run_unit_files, "Enable or disable units as the preset files say"},
    {"preset-all", ctl::run_preset_all, "The same for all unit files", 0},
    {"add-wants", ctl::run_add_dependency, "Make a target want units"},
    {"add-requires", ctl::run_add_dependency, "Make a target require units"},
    {"mask", ctl::run_unit_files, "Make units impossible to start"},
    {"unmask", ctl::run_unit_files, "Undo that"},
    {"link", ctl::run_unit_files, "Make unit files from elsewhere known"},
    {"revert", ctl::run_unit_files, "Go back to the vendor's files"},
    {"set-property", ctl::run_set_property, "Change settings of a unit while it is loaded"},
    {"edit", ctl::run_edit, "Edit a drop-in of a unit, or with --full the whole file"},
    {"get-default", ctl::run_default_target, "Show what is started at first", 0},
    {"set-default", ctl::run_default_target, "Change what is started at first"},
    {"daemon-reload", ctl::run_daemon_reload, "Read all unit files again", 0},
    {"daemon-reexec", ctl::run_daemon_reexec, "Execute the daemon's program anew; services go on",
     0},
    {"state", ctl::run_state, "Show what the daemon keeps for the next one, without a daemon"},
    {"show-environment", ctl::run_environment, "Show the environment of the manager", 0},
    {"set-environment", ctl::run_environment, "Set variables in it"},
    {"unset-environment", ctl::run_environment, "Remove variables from it"},
    {"features", ctl::run_features,
     "Show which kernel features are used, and what replaces others; of units, by which means"},
    {"verify", ctl::run_verify, "Check unit files, without a daemon"},
    {"exit", ctl::run_exit, "Stop everything and end the daemon"},
};

std::string verb_list() {
  std::string text = "Verbs:\n";
  for (const Verb& verb : kVerbs) text += fmt::format("  {:<24}{}\n", verb.name, verb.help);
  return text + "\nSee pidwardctl(1).";
}

void add_options(CLI::App& app, Options& o) {
  app.add_flag("--system", o.accepted, "Talk to the system's pidward (default)");
  app.add_flag("--user", o.place.user, "Talk to the pidward of this user");
  app.add_option("--socket", o.place.socket, "Talk to the pidward behind this socket");
  app.add_option("--runtime-dir", o.place.runtime_dir,
                 "Talk to the pidward with this runtime directory ($PIDWARD_RUNTIME_DIR)");
  app.add_flag("--no-block", o.no_block, "Do not wait for the job to finish");
  app.add_flag("--wait", o.wait, "Wait until the units are inactive again");
  app.add_option("--job-mode", o.job_mode, "How the job meets jobs that are queued already");
  app.add_flag_callback(
      "--fail", [&o] { o.job_mode = "fail"; }, "As --job-mode=fail");
  app.add_flag("--now", o.now, "Start or stop the unit as well");
  app.add_flag("--runtime", o.runtime, "Until the next boot only");
  app.add_flag("--force", o.force, "Replace links that are in the way");
  app.add_flag("--no-reload", o.no_reload, "Do not reload the daemon after changing links");
  app.add_option("--preset-mode", o.preset_mode, "full, enable-only or disable-only");
  app.add_option("-p,--property", o.properties,
                 "Show these properties only; with run: a setting of the unit, Directive=Value")
      ->allow_extra_args(false);
  app.add_option("-P", o.values, "As --value --property")->allow_extra_args(false);
  app.add_flag("--value", o.value, "Show values without names");
  app.add_flag("-a,--all", o.all, "Show everything, also what is inactive or empty");
  app.add_option("-t,--type", o.types, "Units of these types only; help lists them")
      ->allow_extra_args(false);
  app.add_option("--state", o.states, "Units in these states only; help lists them")
      ->allow_extra_args(false);
  app.add_flag("--failed", o.failed, "Show failed units only");
  app.add_option("-n,--lines", o.lines, "Number of log lines");
  app.add_flag("-f,--follow", o.follow, "Go on with new lines as they come");
  app.add_flag("--reverse", o.reverse, "Show units that need the unit");
  app.add_flag("--after", o.after, "Show units that are ordered before the unit");
  app.add_flag("--before", o.before, "Show units that are ordered after the unit");
  app.add_option("-s,--signal", o.signal, "Signal to send, by name or number; help lists them");
  app.add_option("--kill-whom,--kill-who", o.kill_whom, "main, control or all");
  app.add_flag("--tree", o.tree, "Show processes below their parents; kill: the whole tree");
  app.add_option("--unit", o.unit, "Name of the unit that run makes");
  app.add_option("--description", o.description, "Its description; the command when left out");
  app.add_flag("--pipe", o.pipe, "Give the command our own standard input, output and error");
  app.add_flag("--hold", o.hold, "End the unit when we end, in whatever way");
  app.add_flag("--collect", o.collect, "Forget the unit when it has ended, also when it failed");
  app.add_flag("-l,--full", o.full, "Do not shorten; with edit: the whole file");
  app.add_flag("--no-legend", o.no_legend, "Without header and footer");
  app.add_option("--legend", o.legend, "Whether there is a header and a footer: yes or no");
  app.add_flag("--plain", o.plain, "Without dots and lines");
  app.add_flag("-q,--quiet", o.quiet, "Say nothing, exit with the status");
  app.add_flag("--json", o.json, "Print JSON");
  app.add_option("-o,--output", o.output, "json, as --json");
  app.add_flag("--no-pager", o.accepted, "Accepted; output is never paged");
  app.add_flag("--no-ask-password", o.accepted, "Accepted; passwords are never asked for");
  app.add_flag("-i", o.accepted, "Accepted; nothing inhibits what is asked for");
  app.add_flag("--no-color", o.no_color, "Without colours (also $NO_COLOR)");
}

/// How many names stand between a verb and the command it runs; nothing for other verbs.
std::optional<unsigned> names_before_command(std::string_view verb) {
  if (verb == "run") return 0;
  if (verb == "hold") return 1;
  return std::nullopt;
}

/// The arguments with "--" in front of the command of `run`, if the person left it out: what
/// follows belongs to the command.
std::vector<std::string> separate_command(const CLI::App& app, int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  std::optional<unsigned> names;
  bool verb_seen = false;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (word == "--") return arguments;
    if (word.starts_with('-') && word.size() > 1) {
      const CLI::Option* option = app.get_option_no_throw(word);
      const bool takes_next = option != nullptr && option->get_items_expected_min() > 0;
      if (takes_next) ++i;
      continue;
    }
    if (!verb_seen) {
      verb_seen = true;
      names = names_before_command(word);
      if (!names) return arguments;
    } else if (*names == 0) {
      arguments.insert(arguments.begin() + static_cast<std::ptrdiff_t>(i), "--");
      return arguments;
    } else {
      --*names;
    }
  }
  return arguments;
}

/// What options say in words of their own.
pidward::Status read_words(Options& options) {
  using pidward::Errc;
  using pidward::Error;
  const bool is_json = options.output == "json" || options.output == "json-pretty";
  options.json = options.json || is_json;
  if (!options.output.empty() && options.output != "short" && !is_json) {
    return Error(Errc::invalid_argument,
                 fmt::format("there is no output '{}'; known are json and short, which is the text "
                             "that is printed without -o",
                             options.output));
  }
  if (!options.legend.empty()) {
    const auto is_one_of = [&](std::initializer_list<std::string_view> words) {
      return std::find(words.begin(), words.end(), options.legend) != words.end();
    };
    options.no_legend = is_one_of({"no", "n", "false", "f", "off", "0"});
    if (!options.no_legend && !is_one_of({"yes", "y", "true", "t", "on", "1"})) {
      return Error(Errc::invalid_argument,
                   fmt::format("--legend is yes or no, and not '{}'", options.legend));
    }
  }
  options.value = options.value || !options.values.empty();
  options.properties.insert(options.properties.end(), options.values.begin(), options.values.end());
  return ctl::read_filters(options);
}

int run(int argc, char** argv) {
  Options options;
  CLI::App app("Control pidward.", "pidwardctl");
  app.set_version_flag("--version", std::string("pidward ") + PIDWARD_VERSION);
  app.footer(verb_list());
  add_options(app, options);
  app.add_option("VERB", options.verb, "What to do; list-units when left out");
  app.add_option("NAMES", options.names, "Units, files, jobs or assignments");
  try {
    std::vector<std::string> arguments = separate_command(app, argc, argv);
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 takes them
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? ctl::kSuccess : ctl::kFailure;
  }
  if (options.verb.empty()) options.verb = "list-units";
  if (const auto read = read_words(options); !read) return Session(options).fail(read.error());
  if (ctl::print_known_words(options)) return ctl::kSuccess;
  for (const Verb& verb : kVerbs) {
    if (options.verb != verb.name) continue;
    Session session(std::move(options));
    const std::vector<std::string>& names = session.options().names;
    if (names.size() > verb.most_names) {
      return session.fail(
          fmt::format("{} takes no names, and '{}' is one", verb.name, names[verb.most_names]));
    }
    return verb.run(session);
  }
  ctl::complain(fmt::format("there is no verb '{}'; see pidwardctl --help", options.verb));
  return ctl::kFailure;
}

}  // namespace

int main(int argc, char** argv) {
  // A reader that went away ("pidwardctl logs | head") ends us as it would end any filter.
  std::signal(SIGPIPE, SIG_DFL);
  try {
    return run(argc, argv);
  } catch (const pidward::ctl::Stop& stop) {
    return stop.code;
  } catch (const std::exception& problem) {
    pidward::ctl::complain(problem.what());
    return ctl::kFailure;
  }
}
