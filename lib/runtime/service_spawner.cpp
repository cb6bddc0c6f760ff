#include "runtime/service_spawner.hpp"

#include <cerrno>

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "runtime/fd_store.hpp"
#include "runtime/listeners.hpp"
#include "runtime/socket_address.hpp"

namespace pidward::runtime {
namespace {

using unit::Directive;
using unit::StandardOutput;

std::vector<std::string> own_environment() {
  std::vector<std::string> block;
  for (char** entry = environ; *entry != nullptr; ++entry) block.emplace_back(*entry);
  return block;
}

/// REMOTE_ADDR and REMOTE_PORT of who is at the other end, if somebody still is.
void announce_peer(int connection, std::vector<std::string>& environment) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (::getpeername(connection, reinterpret_cast<sockaddr*>(&storage), &length) != 0) {  // NOLINT
    return;
  }
  if (storage.ss_family != AF_INET && storage.ss_family != AF_INET6) return;
  std::string address = format_socket_address(storage, length);
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos) return;
  environment.push_back("REMOTE_PORT=" + address.substr(colon + 1));
  address.resize(colon);
  if (address.starts_with('[') && address.ends_with(']')) {
    address = address.substr(1, address.size() - 2);
  }
  environment.push_back("REMOTE_ADDR=" + address);
}

constexpr std::size_t kAtOnce = 64;
constexpr std::chrono::milliseconds kPatience(200);

/// What stops or reloads is to work on a full file system too.
bool begins_service(Directive list) {
  return list == Directive::ExecCondition || list == Directive::ExecStartPre ||
         list == Directive::ExecStart;
}

std::string identifier_of(const unit::UnitSpec& spec, const exec::ExecPlan& plan) {
  if (const std::string& set = spec.settings.string(Directive::SyslogIdentifier); !set.empty()) {
    return set;
  }
  const std::string& program = plan.program();
  return program.substr(program.rfind('/') + 1);
}

/// Where else what a stream logs goes: StandardOutput=kmsg, journal+console and so on.
LogCopies copies_of(const unit::Settings& settings, Directive stream) {
  const unit::StreamTarget* const target = settings.stream(stream);
  if (target == nullptr) return {};
  const auto kind = static_cast<StandardOutput>(target->kind);
  return {
      .kernel = kind == StandardOutput::kmsg || kind == StandardOutput::kmsg_console,
      .console = kind == StandardOutput::journal_console || kind == StandardOutput::kmsg_console};
}

/// Whether a standard stream is the connection that a service is made for.
bool has_socket_stream(const unit::Settings& settings) {
  const unit::StreamTarget* const input = settings.stream(Directive::StandardInput);
  if (input != nullptr &&
      static_cast<unit::StandardInput>(input->kind) == unit::StandardInput::socket)
    return true;
  return std::ranges::any_of(
      std::array{Directive::StandardOutput, Directive::StandardError}, [&](Directive each) {
        const unit::StreamTarget* const output = settings.stream(each);
        return output != nullptr &&
               static_cast<StandardOutput>(output->kind) == StandardOutput::socket;
      });
}

process::Role table_role(engine::ProcessRole role) {
  switch (role) {
    case engine::ProcessRole::main:
      return process::Role::main;
    case engine::ProcessRole::control:
      return process::Role::control;
    case engine::ProcessRole::other:
      return process::Role::other;
  }
  return process::Role::other;
}

}  // namespace

struct ServiceSpawner::Pending {
  engine::Spawn effect;
  exec::ExecRequest request;
  std::vector<sys::Fd> passed;  ///< copies, so that a closing socket unit does not pull them away
  std::vector<LogStream> logs;  ///< one for both of its streams, or one for each
};

struct ServiceSpawner::InFlight {
  SpawnId spawn;
  UnitId unit;
  ProcessId process;
  exec::SpawnedChild child;
  Watch watch;
};

ServiceSpawner::ServiceSpawner(Core& core, Parts parts, Surroundings surroundings)
    : core_(core),
      parts_(parts),
      surroundings_(std::move(surroundings)),
      limit_(kAtOnce),
      progress_(core.io) {}

ServiceSpawner::~ServiceSpawner() = default;

void ServiceSpawner::fail(const engine::Spawn& effect, exec::ExitCode code, Error error) {
  if (effect.connection != 0) parts_.listeners.close_connection(effect.connection);
  answer(effect.unit, engine::SpawnFailed{effect.spawn, static_cast<int>(code), std::move(error)});
}

void ServiceSpawner::answer(UnitId unit, engine::Event event) {
  if (active_ > 0) --active_;
  core_.events.post(std::move(event));
  const auto found = unanswered_.find(unit);
  if (found != unanswered_.end() && --found->second == 0) unanswered_.erase(found);
  // Within settle() the end of the process is told first; what follows from it is asked then.
  if (answered_ && !settling_) answered_(unit);
  pump();
}

Result<std::shared_ptr<ServiceSpawner::Pending>> ServiceSpawner::prepare(
    const engine::Spawn& effect) {
  auto pending = std::make_shared<Pending>();
  pending->effect = effect;
  exec::ExecRequest& request = pending->request;
  request.spec = core_.engine.spec(effect.unit);
  if (!request.spec) return Error(Errc::no_such_unit, "The unit is gone");
  request.list = effect.list;
  request.index = effect.index;
  request.user_manager = core_.config.scope == unit::Scope::user;
  request.roots = surroundings_.roots;
  request.manager_environment = surroundings_.environment();
  if (!request.spec->settings.words(Directive::PassEnvironment).empty()) {
    request.daemon_environment = own_environment();
  }
  request.autokill = core_.features.has(sys::Feature::autokill);
  request.extra_environment = effect.environment;
  request.extra_environment.push_back("INVOCATION_ID=" + effect.invocation.to_string());
  if (request.user_manager) {
    request.extra_environment.push_back(fmt::format("MANAGERPID={}", ::getpid()));
  }
  if (effect.pass_notify_socket) {
    request.extra_environment.push_back("NOTIFY_SOCKET=" + surroundings_.notify_socket);
  }
  if (const auto main = core_.table.find(effect.main_process)) {
    request.extra_environment.push_back(fmt::format("MAINPID={}", main->pid()));
    if (core_.features.has(sys::Feature::pidfs)) {
      request.extra_environment.push_back(fmt::format("MAINPIDFDID={}", main->id().number()));
    }
  }
  const bool non_blocking = request.spec->settings.boolean(Directive::NonBlocking);
  for (const UnitId socket : effect.sockets) {
    for (const Listeners::Passed& listening : parts_.listeners.descriptors(socket)) {
      PIDWARD_TRY(sys::Fd copy, listening.fd->duplicate());
      request.passed.push_back({copy.get(), listening.name, non_blocking});
      pending->passed.push_back(std::move(copy));
    }
  }
  if (effect.list == Directive::ExecStart) {
    for (const FdStore::Stored& stored : parts_.fd_store.descriptors(effect.unit)) {
      PIDWARD_TRY(sys::Fd copy, stored.fd->duplicate());
      request.passed.push_back({copy.get(), stored.name, false});
      pending->passed.push_back(std::move(copy));
    }
    const std::uint64_t most = request.spec->settings.number(Directive::FileDescriptorStoreMax);
    if (most > 0) request.extra_environment.push_back(fmt::format("FDSTORE={}", most));
  }
  if (effect.connection != 0) {
    const sys::Fd* const connection = parts_.listeners.connection(effect.connection);
    if (connection == nullptr) {
      return Error(
          Errc::failed,
          "The connection was lost with the previous pidward, before its process was made");
    }
    // A copy: who stops the unit meanwhile closes the other.
    PIDWARD_TRY(sys::Fd copy, connection->duplicate());
    request.connection = copy.get();
    pending->passed.push_back(std::move(copy));
    // Where no standard stream is the connection, it is passed as listening sockets are.
    if (!has_socket_stream(request.spec->settings)) {
      request.passed.insert(request.passed.begin(),
                            {request.connection, "connection", non_blocking});
    }
    announce_peer(request.connection, request.extra_environment);
  }
  const UnitStreams* streams = surroundings_.streams(effect.unit);
  for (std::size_t i = 0; streams != nullptr && i < streams->size(); ++i) {
    if (!(*streams)[i]) continue;
    PIDWARD_TRY(sys::Fd copy, (*streams)[i].duplicate());
    request.streams[i] = copy.get();
    pending->passed.push_back(std::move(copy));
  }
  PIDWARD_CHECK(open_logs(*pending));
  return pending;
}

/// Streams whose lines go the same ways share one pipe, which keeps the lines in order.
Status ServiceSpawner::open_logs(Pending& pending) {
  exec::ExecRequest& request = pending.request;
  const unit::Settings& settings = request.spec->settings;
  constexpr std::pair<int, Directive> kStreams[] = {{STDOUT_FILENO, Directive::StandardOutput},
                                                    {STDERR_FILENO, Directive::StandardError}};
  for (const auto& [fd, directive] : kStreams) {
    const auto stream = static_cast<std::size_t>(fd);
    if (request.streams.at(stream) >= 0 || !settings.goes_to_log(directive)) continue;
    const LogCopies copies = copies_of(settings, directive);
    if (pending.logs.empty() || pending.logs.back().copies != copies) {
      PIDWARD_TRY(LogStream log, parts_.logs.open_stream(*request.spec, copies));
      pending.logs.push_back(std::move(log));
    }
    request.logs.at(stream) = pending.logs.back().write_end.get();
  }
  // Of two, the one of standard error is told of (systemd.exec(5)).
  if (!pending.logs.empty() && !pending.logs.back().journal_stream.empty()) {
    request.extra_environment.push_back("JOURNAL_STREAM=" + pending.logs.back().journal_stream);
  }
  return {};
}

void ServiceSpawner::spawn(const engine::Spawn& effect) {
  ++unanswered_[effect.unit];
  queue_.push_back(effect);
  pump();
}

void ServiceSpawner::pump() {
  if (std::exchange(pumping_, true)) return;
  while (!queue_.empty() && active_ < limit_) {
    const engine::Spawn effect = std::move(queue_.front());
    queue_.pop_front();
    begin(effect);
  }
  pumping_ = false;
  if (queue_.empty()) {
    limit_ = kAtOnce;
  } else {
    watch_progress();
  }
}

// Starts that hang (a program on a dead mount) must not hold up the others for ever: without
// progress there is room for as many again.
void ServiceSpawner::watch_progress() {
  if (std::exchange(watching_progress_, true)) return;
  progress_.expires_after(kPatience);
  progress_.async_wait([this, seen = begun_](const boost::system::error_code& error) {
    if (error) return;
    watching_progress_ = false;
    if (queue_.empty()) return;
    if (begun_ == seen) limit_ += kAtOnce;
    pump();
    core_.events.drain();
  });
}

void ServiceSpawner::begin(const engine::Spawn& effect) {
  ++active_;
  ++begun_;
  if (begins_service(effect.list)) {
    if (Status room = parts_.keeper.may_start(); !room) {
      fail(effect, exec::ExitCode::none, std::move(room).error());
      return;
    }
  }
  auto pending = prepare(effect);
  if (!pending) {
    fail(effect, exec::ExitCode::none, std::move(pending).error());
    return;
  }
  if (!exec::may_block((*pending)->request)) {
    exec::Compiled compiled = exec::compile((*pending)->request);
    launch(*pending, std::move(compiled));
    return;
  }
  // The one who compiles may be held up for longer than we are there.
  core_.pool.run([kept = *pending] { return exec::compile(kept->request); },
                 [this, kept = *pending](exec::Compiled compiled) {
                   launch(kept, std::move(compiled));
                   core_.events.drain();
                 });
}

void ServiceSpawner::launch(const std::shared_ptr<Pending>& pending, exec::Compiled compiled) {
  const engine::Spawn& effect = pending->effect;
  for (std::string& sentence : compiled.warnings) {
    log_about(LogLevel::warning, *pending->request.spec, "exec-warning", std::move(sentence));
  }
  if (compiled.error || !compiled.plan) {
    fail(effect, compiled.exit_code,
         compiled.error ? *std::move(compiled.error) : Error(Errc::failed, "There is no plan"));
    return;
  }
  const std::string identifier = identifier_of(*pending->request.spec, *compiled.plan);
  sys::CgroupDir group;
  if (parts_.groups.is_available()) {
    auto opened = parts_.groups.ensure(effect.unit, *pending->request.spec);
    if (!opened) {
      fail(effect, exec::ExitCode::none, std::move(opened).error());
      return;
    }
    group = *std::move(opened);
    CgroupTree::delegate(group, *pending->request.spec, compiled.plan->owner());
  }
  exec::ChildGroup where;
  if (group && parts_.groups.may_clone_into(effect.unit)) {
    where.directory = group.get();
  } else if (group) {
    where.procs_file = group.file_path() + "/cgroup.procs";
  }
  parts_.groups.note_joined(effect.unit);
  const auto collected =
      compiled.plan->is_autokilled() ? process::Collected::by_kernel : process::Collected::by_us;
  auto child = spawner_.spawn(std::move(compiled.plan), std::move(where), true);
  if (!child) {
    Error error = std::move(child).error().within("Cannot make a process");
    if (error.sys_errno() == EAGAIN) {
      fail(effect, exec::ExitCode::none,
           std::move(error).advise("No more are allowed: raise TasksMax= of the unit pidward runs "
                                   "as, LimitNPROC= of its user, or kernel.pid_max"));
      return;
    }
    fail(effect, exec::ExitCode::none, std::move(error));
    return;
  }
  const int pid = child->pid();
  // All that is kept of it goes into one record, and with the record it may become what it is to
  // be.
  for (LogStream& log : pending->logs) {
    parts_.logs.attach(std::move(log), *pending->request.spec, identifier, pid);
  }
  auto process =
      parts_.tracker.add_child({std::move(child->pidfd()), pid, collected, &child->gate()},
                               effect.unit, table_role(effect.role), effect.spawn);
  if (!process) {
    fail(effect, exec::ExitCode::none, std::move(process).error());
    return;
  }
  parts_.exit_kills.started(effect.unit, *pending->request.spec, *process);
  child->open_gate();
  parts_.tracker.gate_opened(*process);
  if (effect.connection != 0) parts_.listeners.close_connection(effect.connection);
  const int report = child->report_fd();
  auto in_flight = std::make_unique<InFlight>(
      InFlight{effect.spawn, effect.unit, *process, *std::move(child), Watch()});
  auto watch = Watch::start(core_.watcher, report, EPOLLIN, *this);
  core_.events.post(engine::Spawned{effect.spawn, *process});
  by_process_.emplace(*process, report);
  if (watch) in_flight->watch = *std::move(watch);
  in_flight_.emplace(report, std::move(in_flight));
}

void ServiceSpawner::descriptor_ready(int fd, std::uint32_t /*events*/) {
  conclude(fd);
}

bool ServiceSpawner::conclude(int report_fd) {
  const auto found = in_flight_.find(report_fd);
  if (found == in_flight_.end()) return true;
  const std::optional<exec::ExecOutcome> outcome = found->second->child.outcome();
  if (!outcome) return true;
  found->second->watch.stop();
  const std::unique_ptr<InFlight> done = std::move(found->second);
  in_flight_.erase(found);
  if (outcome->executed) {
    by_process_.erase(done->process);
    answer(done->unit, engine::Executed{done->spawn});
    return true;
  }
  // Its number stays in by_process_ until its end is seen, which is then no news.
  by_process_[done->process] = -1;
  answer(done->unit,
         engine::SpawnFailed{done->spawn, static_cast<int>(outcome->exit_code),
                             outcome->error ? *outcome->error
                                            : Error(Errc::failed, "The program could not be run")});
  return false;
}

bool ServiceSpawner::settle(ProcessId process) {
  const auto found = by_process_.find(process);
  if (found == by_process_.end()) return true;
  settling_ = true;
  if (const auto child = in_flight_.find(found->second); child != in_flight_.end()) {
    child->second->child.ended();
  }
  const bool executed = found->second >= 0 && conclude(found->second);
  settling_ = false;
  by_process_.erase(process);
  return executed;
}

}  // namespace pidward::runtime
