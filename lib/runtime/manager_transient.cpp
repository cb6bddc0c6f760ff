// Units made by a request, and settings changed by one.
#include <algorithm>
#include <memory>

#include <boost/asio/post.hpp>
#include <fmt/core.h>

#include "runtime/clock.hpp"
#include "runtime/manager_impl.hpp"

namespace pidward::runtime {
namespace {

Error already_exists(const std::string& name) {
  return {Errc::unit_exists,
          fmt::format("Unit {} was already loaded or has a fragment file.", name)};
}

/// Whether a transient unit may take the place of what is loaded under its name: nothing but a name
/// others mention, or a slice that exists by being named.
bool is_free(const engine::Engine& engine, const unit::UnitName& name) {
  const auto unit = engine.find(name);
  if (!unit) return true;
  const engine::UnitStatus status = engine.status(*unit);
  return !status.spec->fragment && !status.job && status.active == engine::ActiveState::inactive &&
         status.spec->load_state != unit::LoadState::masked;
}

Status check_name(const std::string& text) {
  PIDWARD_TRY(const unit::UnitName name, unit::UnitName::parse(text));
  if (name.is_template() || !unit::is_managed(name.type())) {
    return Error(Errc::invalid_argument,
                 fmt::format("{} cannot be made on request: {}", text,
                             name.is_template() ? "it is a template"
                                                : "pidward does not manage units of its type"));
  }
  return {};
}

}  // namespace

void Manager::Impl::collect_now() {
  with_engine([](engine::Engine& the_engine, engine::Effects& effects) {
    the_engine.collect(now(), effects);
    return 0;
  });
}

/// What its text cannot say.
void Manager::Impl::equip_made(TransientUnit& wanted) {
  const std::string& name = wanted.text.name;
  const auto unit = engine.find(*unit::UnitName::parse(name));
  if (!unit) return;
  transient.expect(*unit, name, std::move(wanted.processes));
  transient.set_streams(*unit, name, std::move(wanted.streams));
  if (wanted.controller.empty()) return;
  with_engine([&](engine::Engine& the_engine, engine::Effects& effects) {
    the_engine.set_controller(*unit, std::move(wanted.controller), now(), effects);
    return 0;
  });
}

Result<UnitId> Manager::Impl::add_made(TransientRequest& wanted, const UnitSource::Specs& specs) {
  const auto name = unit::UnitName::parse(wanted.unit.text.name);
  // Somebody may have asked for the name meanwhile, and so had our own file loaded.
  const auto found = engine.find(*name);
  const bool is_ours = found && engine.spec(*found)->transient && !engine.status(*found).job &&
                       engine.status(*found).active == engine::ActiveState::inactive;
  if (!is_ours && !is_free(engine, *name)) return already_exists(wanted.unit.text.name);
  with_engine([&](engine::Engine& the_engine, engine::Effects& effects) {
    add_units(specs, effects);
    // A slice that was there by name alone is not replaced by being added.
    for (const unit::UnitSpecPtr& spec : specs) {
      const auto there = the_engine.find(spec->name);
      if (spec->transient && there && !the_engine.spec(*there)->transient) {
        the_engine.replace_settings(spec, now(), effects);
      }
    }
    return 0;
  });
  const auto unit = engine.find(*name);
  if (!unit) return already_exists(wanted.unit.text.name);
  equip_made(wanted.unit);
  for (TransientUnit& each : wanted.auxiliary) equip_made(each);
  return *unit;
}

void Manager::Impl::make_transient(TransientRequest request,
                                   std::function<void(Result<UnitId>)> then) {
  std::vector<UnitText> units{request.unit.text};
  for (const TransientUnit& each : request.auxiliary) units.push_back(each.text);
  const auto refuse = [this, &then](Error why) {
    boost::asio::post(io, [then = std::move(then), why = std::move(why)] { then(why); });
  };
  for (const UnitText& each : units) {
    if (Status valid = check_name(each.name); !valid) return refuse(std::move(valid).error());
  }
  if (wanted_exit) {
    return refuse({Errc::shutting_down, "pidward is stopping and starts nothing any more"});
  }
  // What ended a moment ago and nobody holds makes room for its successor.
  collect_now();
  for (const UnitText& each : units) {
    if (!is_free(engine, *unit::UnitName::parse(each.name)))
      return refuse(already_exists(each.name));
  }
  if (!transient.begin(request)) return refuse(already_exists(request.unit.text.name));
  auto wanted = std::make_shared<TransientRequest>(std::move(request));
  source.make_transient(std::move(units),
                        [this, wanted, then = std::move(then)](Result<UnitSource::Specs> specs) {
                          transient.end(*wanted);
                          then(specs ? add_made(*wanted, *specs) : std::move(specs).error());
                          drain();
                        });
}

void Manager::start_transient(TransientRequest request, Reply<engine::RequestOutcome> reply) {
  Impl& impl = *impl_;
  engine::JobRequest job{*unit::UnitName::parse("unknown.target")};
  job.mode = request.mode;
  if (const auto name = unit::UnitName::parse(request.unit.text.name)) job.unit = *name;
  impl.make_transient(std::move(request),
                      [&impl, job, reply = std::move(reply)](const Result<UnitId>& made) {
                        if (!made) return reply(made.error());
                        impl.request(job, reply);
                      });
}

void Manager::hold_transient(TransientRequest request, LeaseTaker taker, Reply<UnitLease> reply) {
  Impl& impl = *impl_;
  LeaseRequest lease{request.unit.text.name, request.mode, taker};
  impl.make_transient(std::move(request),
                      [this, &impl, lease, reply = std::move(reply)](const Result<UnitId>& made) {
                        if (!made) return reply(made.error());
                        // Nobody holds the unit until it is leased, and it must not be collected
                        // before.
                        impl.engine.set_referenced(*made, true);
                        lease_unit(lease, [&impl, unit = *made, reply](Result<UnitLease> leased) {
                          impl.update_reference(unit);
                          reply(std::move(leased));
                        });
                      });
}

void Manager::set_properties(const std::string& name, bool runtime, std::vector<DropInText> files,
                             Reply<UnitId> reply) {
  load(name, [this, runtime, files = std::move(files),
              reply = std::move(reply)](const Result<UnitId>& loaded) mutable {
    if (!loaded) return reply(loaded.error());
    Impl& impl = *impl_;
    const auto spec = impl.engine.spec(*loaded);
    if (spec->load_state != unit::LoadState::loaded) {
      return reply(spec->load_error().value_or(
          Error(Errc::no_such_unit, fmt::format("Unit {} is not loaded", spec->name.str()))));
    }
    const unit::SearchPath& path = impl.source.context().path;
    const std::string& directory = spec->transient ? path.transient_dir
                                   : runtime       ? path.runtime_control_dir
                                                   : path.control_dir;
    impl.source.write_drop_ins(
        spec->name, directory, std::move(files),
        [&impl, unit = *loaded, reply = std::move(reply)](Result<unit::UnitSpecPtr> read) {
          if (!read) return reply(std::move(read).error());
          impl.with_engine([&](engine::Engine& engine, engine::Effects& effects) {
            return engine.replace_settings(*read, now(), effects);
          });
          impl.groups.apply_limits(unit, **read);
          if (!impl.groups.is_available()) impl.groups.deplore(**read);
          reply(unit);
        });
  });
}

}  // namespace pidward::runtime
