// What is asked of the manager: jobs, loads, reloads, unit files.
#include <algorithm>

#include <boost/asio/post.hpp>
#include <fmt/core.h>

#include "runtime/clock.hpp"
#include "runtime/manager_impl.hpp"

namespace pidward::runtime {
namespace {

Result<unit::UnitName> whole_name(const std::string& text) {
  PIDWARD_TRY(unit::UnitName name, unit::UnitName::parse(text));
  if (name.is_template()) {
    return Error(Errc::invalid_argument, fmt::format("{} is a template and has no instance", text))
        .advise(fmt::format("Name an instance: {}NAME.{}", text.substr(0, text.find('@') + 1),
                            unit::to_string(name.type())));
  }
  return name;
}

bool must_be_read(const engine::Engine& engine, const unit::UnitName& name) {
  const auto unit = engine.find(name);
  if (!unit) return true;
  const auto spec = engine.spec(*unit);
  return unit::is_managed(name.type()) && spec->load_state != unit::LoadState::loaded &&
         spec->load_state != unit::LoadState::masked;
}

/// Calls `go` on the loop, later, with the unit in memory if there is any such unit.
void once_loaded(Manager::Impl& impl, const unit::UnitName& name, std::function<void()> go) {
  if (must_be_read(impl.engine, name)) return impl.load_units({name}, std::move(go));
  boost::asio::post(impl.io, [&impl, name, go = std::move(go)]() mutable {
    // Nobody held it: it may have been dropped since.
    if (must_be_read(impl.engine, name)) return impl.load_units({name}, std::move(go));
    go();
  });
}

}  // namespace

void Manager::Impl::load_units(std::vector<unit::UnitName> names, std::function<void()> done,
                               bool afresh) {
  auto add = [this, done = std::move(done)](const UnitSource::Specs& specs) {
    with_engine([&](engine::Engine&, engine::Effects& effects) {
      add_units(specs, effects);
      return 0;
    });
    done();
    drain();
  };
  source.load(std::move(names), std::move(add), afresh);
}

void Manager::Impl::request(const engine::JobRequest& wanted,
                            const Reply<engine::RequestOutcome>& reply) {
  auto outcome = with_engine([&](engine::Engine& the_engine, engine::Effects& effects) {
    return the_engine.request(wanted, now(), effects);
  });
  reply(std::move(outcome));
}

void Manager::submit(const JobSubmission& submission, Reply<engine::RequestOutcome> reply) {
  Impl& impl = *impl_;
  auto name = whole_name(submission.unit);
  if (!name) {
    boost::asio::post(
        impl.io, [reply = std::move(reply), error = std::move(name).error()] { reply(error); });
    return;
  }
  engine::JobRequest wanted{*name};
  wanted.type = submission.type;
  wanted.mode = submission.mode;
  wanted.reload_if_possible = submission.reload_if_possible;
  if (impl.wanted_exit && submission.type != engine::JobType::stop) {
    boost::asio::post(impl.io, [reply = std::move(reply)] {
      reply(Error(Errc::shutting_down, "pidward is stopping and starts nothing any more"));
    });
    return;
  }
  // What nobody holds is read as it is now, as if it had not been there.
  const auto there = impl.engine.find(*name);
  const bool afresh =
      there && submission.type != engine::JobType::stop && !impl.engine.is_needed(*there);
  if (afresh) {
    impl.with_engine([&](engine::Engine& the_engine, engine::Effects& effects) {
      the_engine.collect_one(*there, now(), effects);
      return 0;
    });
  }
  auto go = [&impl, wanted, reply = std::move(reply)] { impl.request(wanted, reply); };
  if (afresh) return impl.load_units({*name}, std::move(go), true);
  once_loaded(impl, *name, std::move(go));
}

void Manager::load(const std::string& text, Reply<UnitId> reply) {
  Impl& impl = *impl_;
  auto name = whole_name(text);
  if (!name) {
    boost::asio::post(
        impl.io, [reply = std::move(reply), error = std::move(name).error()] { reply(error); });
    return;
  }
  auto answer = [&impl, name = *name, reply = std::move(reply)] {
    const auto unit = impl.engine.find(name);
    if (unit) {
      reply(*unit);
    } else {
      reply(Error(Errc::no_such_unit, fmt::format("{} cannot be loaded", name.str())));
    }
  };
  once_loaded(impl, *name, std::move(answer));
}

void Manager::reload(Reply<std::vector<unit::Diagnostic>> reply) {
  impl_->reload(std::move(reply));
}

void Manager::Impl::reload(Reply<std::vector<unit::Diagnostic>> reply) {
  observers.tell([](ManagerObserver& observer) { observer.reloading(true); });
  std::vector<unit::UnitName> names;
  for (const UnitId unit : engine.units()) {
    if (const auto spec = engine.spec(unit); spec && (!spec->transient || spec->fragment))
      names.push_back(spec->name);
  }
  std::set<unit::UnitName> asked(names.begin(), names.end());
  source.reload(std::move(names), [this, asked = std::move(asked),
                                   reply = std::move(reply)](UnitSource::Specs specs) {
    std::vector<unit::Diagnostic> complaints;
    source.known().clear();
    for (const unit::UnitSpecPtr& spec : specs) {
      complaints.insert(complaints.end(), spec->diagnostics.begin(), spec->diagnostics.end());
    }
    // Units without a file, and those that were loaded while the files were read, stay as they are.
    for (const UnitId unit : engine.units()) {
      auto spec = engine.spec(unit);
      if (spec && !asked.contains(spec->name)) {
        specs.push_back(std::move(spec));
      }
    }
    for (const unit::UnitSpecPtr& spec : specs) source.known().add(*spec);
    std::ranges::stable_sort(complaints, [](const auto& a, const auto& b) {
      return std::tie(a.where.file, a.where.line) < std::tie(b.where.file, b.where.line);
    });
    with_engine([&](engine::Engine& the_engine, engine::Effects& effects) {
      the_engine.reload(specs, now(), effects);
      return 0;
    });
    for (const UnitId unit : engine.units()) {
      if (const auto spec = engine.spec(unit)) groups.apply_limits(unit, *spec);
    }
    observers.tell([](ManagerObserver& observer) {
      observer.reloading(false);
      observer.unit_files_changed();
    });
    reply(std::move(complaints));
  });
}

void Manager::install(const unit::InstallRequest& request, Reply<unit::InstallPlan> reply) {
  Impl& impl = *impl_;
  impl.pool.run(
      [context = impl.source.shared_context(), request]() -> Result<unit::InstallPlan> {
        PIDWARD_TRY(unit::InstallPlan plan, unit::plan_install(*context, request));
        PosixFileSink sink;
        PIDWARD_CHECK(unit::apply(plan, sink));
        return plan;
      },
      [&impl, reply = std::move(reply)](Result<unit::InstallPlan> plan) {
        const bool changed = plan && !plan->changes.empty();
        reply(std::move(plan));
        if (changed) {
          impl.observers.tell([](ManagerObserver& observer) { observer.unit_files_changed(); });
        }
      });
}

void Manager::list_unit_files(Reply<std::vector<unit::UnitFileEntry>> reply) {
  impl_->pool.run(
      [context = impl_->source.shared_context()] { return unit::list_unit_files(*context); },
      [reply = std::move(reply)](std::vector<unit::UnitFileEntry> list) {
        reply(std::move(list));
      });
}

void Manager::unit_file_state(const std::string& name, Reply<std::string> reply) {
  impl_->pool.run(
      [context = impl_->source.shared_context(), name]() -> Result<std::string> {
        PIDWARD_TRY(const unit::UnitName parsed, unit::UnitName::parse(name));
        return unit::unit_file_state(*context, parsed);
      },
      [reply = std::move(reply)](Result<std::string> state) { reply(std::move(state)); });
}

void Manager::unit_file_preset(const std::string& name, Reply<std::string> reply) {
  impl_->pool.run(
      [context = impl_->source.shared_context(), name]() -> Result<std::string> {
        PIDWARD_TRY(const unit::UnitName parsed, unit::UnitName::parse(name));
        return unit::preset_state(*context, parsed);
      },
      [reply = std::move(reply)](Result<std::string> state) { reply(std::move(state)); });
}

void Manager::set_default_target(const std::string& name, bool force,
                                 Reply<unit::InstallPlan> reply) {
  impl_->pool.run(
      [shared = impl_->source.shared_context(), name, force]() -> Result<unit::InstallPlan> {
        const unit::LoaderContext& context = *shared;
        PIDWARD_TRY(const unit::UnitName target, whole_name(name));
        if (target.type() != unit::UnitType::target) {
          return Error(Errc::invalid_argument,
                       fmt::format("{} is no target, and cannot be the default one", name))
              .advise("Give the name of a unit that ends in .target");
        }
        const unit::UnitSpecPtr spec = unit::UnitLoader(context).load(target);
        if (!spec->fragment) {
          return Error(Errc::not_found, fmt::format("There is no unit file {}", name));
        }
        const std::string link = context.path.config_dir + "/default.target";
        PIDWARD_TRY(const unit::FileInfo there, context.files->info(link));
        if (there.kind != unit::FileKind::missing && there.kind != unit::FileKind::symlink &&
            !force) {
          return Error(Errc::unit_exists, fmt::format("{} is there and is not a link", link));
        }
        unit::InstallPlan plan;
        if (there.kind == unit::FileKind::symlink) plan.changes.push_back({"unlink", link, {}});
        plan.changes.push_back({"symlink", link, spec->fragment->path});
        PosixFileSink sink;
        PIDWARD_CHECK(sink.make_link(link, spec->fragment->path, true));
        return plan;
      },
      [reply = std::move(reply)](Result<unit::InstallPlan> plan) { reply(std::move(plan)); });
}

void Manager::needs_reload(UnitId unit, Reply<bool> reply) {
  auto spec = impl_->engine.spec(unit);
  if (!spec) {
    return boost::asio::post(impl_->io, [reply = std::move(reply)] { reply(false); });
  }
  impl_->source.check_changed(std::move(spec),
                              [reply = std::move(reply)](bool changed) { reply(changed); });
}

void Manager::boot() {
  impl_->boot();
}

void Manager::Impl::boot() {
  booting = true;
  const auto tell_ready = [this] { kept.tell("READY=1\nSTATUS=Supervising"); };
  if (recovered_boot) {
    boot_loaded = true;
    boost::asio::post(io, [this, tell_ready] {
      tell_ready();
      drain();
    });
    return;
  }
  std::vector<std::string> wanted = config.boot_units;
  if (wanted.empty()) wanted.push_back(config.default_target);
  std::vector<unit::UnitName> names;
  for (const std::string& text : wanted) {
    auto name = whole_name(text);
    if (name) {
      names.push_back(*std::move(name));
    } else {
      boot_failed = true;
      log(LogLevel::error, "Cannot start " + text + ": " + name.error().to_string());
    }
  }
  load_units(names, [this, names, tell_ready] {
    for (const unit::UnitName& name : names) {
      engine::JobRequest wanted_job{name};
      wanted_job.manual = false;
      request(wanted_job, [this, &name](const Result<engine::RequestOutcome>& outcome) {
        if (outcome) return;
        boot_failed = true;
        log(LogLevel::error,
            fmt::format("Cannot start {}: {}", name.str(), outcome.error().to_string()));
      });
    }
    boot_loaded = true;
    keep_manager_entry();
    tell_ready();
  });
}

}  // namespace pidward::runtime
