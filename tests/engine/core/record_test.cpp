// Units as text, and going on in another engine.
#include "engine/record.hpp"

#include "engine/core/harness.hpp"

namespace pidward::engine::testing {
namespace {

class RecordTest : public EngineTest {
 protected:
  /// What the engine would leave behind now.
  std::vector<UnitRecord> records() {
    std::vector<UnitRecord> all;
    for (const UnitId unit : engine_.units()) {
      std::string text = engine_.record(unit);
      if (!text.empty()) all.push_back({engine_.spec(unit)->name, std::move(text)});
    }
    return all;
  }
  /// The next engine, and what it wants done.
  struct Next {
    Engine engine{EngineConfig{}};
    Effects effects;
    std::vector<unit::UnitName> bad;
    template <typename T>
    [[nodiscard]] std::vector<T> all() const {
      std::vector<T> found;
      for (const Effect& effect : effects) {
        if (const auto* one = std::get_if<T>(&effect)) found.push_back(*one);
      }
      return found;
    }
    UnitStatus status(std::string_view name) { return engine.status(*engine.find(named(name))); }
  };
  std::unique_ptr<Next> restore(const std::vector<UnitRecord>& from, const ProcessMap& map = {}) {
    auto next = std::make_unique<Next>();
    std::vector<unit::UnitSpecPtr> specs;
    for (const UnitId unit : engine_.units()) specs.push_back(engine_.spec(unit));
    next->engine.add(specs, now_, next->effects);
    next->effects.clear();
    next->bad = next->engine.restore(from, map, now_, next->effects);
    return next;
  }
};

TEST_F(RecordTest, AUnitThatWasNeverTouchedHasNone) {
  add({SpecBuilder("a.service"), SpecBuilder("b.socket"), SpecBuilder("c.target")});
  EXPECT_TRUE(records().empty());
}

TEST_F(RecordTest, ALongListComesBackWhole) {
  std::vector<std::string> many;
  for (int i = 0; i < 5000; ++i) many.push_back("line\n" + std::to_string(i));
  const auto each = [](auto& archive, auto& text) { archive.text("text", text); };
  Saver to;
  to.list("many", many, each);
  const std::string text = to.take();
  Loader from(text);
  std::vector<std::string> again;
  from.list("many", again, each);
  EXPECT_TRUE(from.is_good());
  EXPECT_EQ(again, many);
}

TEST_F(RecordTest, ARunningServiceGoesOnAndIsNotStartedAgain) {
  add({SpecBuilder("a.service").with(Dependency::Wants, "b.target"), SpecBuilder("b.target")});
  start("a.service");
  const UnitStatus before = engine_.status(id("a.service"));
  auto next = restore(records());
  EXPECT_TRUE(next->bad.empty());
  const UnitStatus after = next->status("a.service");
  EXPECT_EQ(after.active, ActiveState::active);
  EXPECT_EQ(after.service->main, before.service->main);
  EXPECT_EQ(after.invocation, before.invocation);
  EXPECT_EQ(after.active_enter, before.active_enter);
  EXPECT_EQ(after.start_tries_left, before.start_tries_left);
  EXPECT_EQ(next->status("b.target").active, ActiveState::active);
  EXPECT_TRUE(next->all<Spawn>().empty());
}

TEST_F(RecordTest, WhatIsLoadedBeforeTheRestGoesOnWithIt) {
  add({SpecBuilder("a.service"), SpecBuilder("b.service"), SpecBuilder("c.service")});
  for (const char* name : {"a.service", "b.service", "c.service"}) start(name);
  std::vector<UnitRecord> rest = records();
  ASSERT_EQ(rest.size(), 3U);
  const auto take = [&rest] {
    const UnitRecord record = rest.back();
    rest.pop_back();
    return record;
  };
  Next next;
  std::vector<unit::UnitSpecPtr> specs;
  for (const UnitId unit : engine_.units()) specs.push_back(engine_.spec(unit));
  next.engine.add(specs, now_, next.effects);
  next.effects.clear();
  const ProcessMap others = [](ProcessId id) { return ProcessId(id.number() + 1000); };
  const UnitRecord good = take();
  UnitRecord bad = take();
  bad.text += "nobody knows what\n";
  EXPECT_TRUE(next.engine.load_record(good, others));
  EXPECT_FALSE(next.engine.load_record(good, others)) << "it has one";
  EXPECT_FALSE(next.engine.load_record(bad, others));
  EXPECT_FALSE(next.engine.load_record({named("d.service"), good.text}, others));
  EXPECT_TRUE(next.effects.empty());

  EXPECT_TRUE(next.engine.restore(rest, {}, now_, next.effects).empty());
  const auto main_before = [this](const UnitRecord& record) {
    return engine_.status(id(record.unit.str())).service->main;
  };
  EXPECT_EQ(next.status(good.unit.str()).active, ActiveState::active);
  EXPECT_EQ(next.status(good.unit.str()).service->main, others(main_before(good)));
  EXPECT_EQ(next.status(rest[0].unit.str()).active, ActiveState::active);
  EXPECT_EQ(next.status(rest[0].unit.str()).service->main, main_before(rest[0]));
  EXPECT_EQ(next.status(bad.unit.str()).active, ActiveState::inactive);
}

TEST_F(RecordTest, ItsEndIsThenTheEndOfTheService) {
  add({SpecBuilder("a.service")
           .set(Directive::Restart, static_cast<std::int64_t>(unit::RestartPolicy::always))});
  start("a.service");
  auto next = restore(records());
  const UnitStatus status = next->status("a.service");
  next->effects.clear();
  next->engine.handle(ProcessExited{status.id, status.service->main, {}}, now_, next->effects);
  next->engine.handle(UnitEmpty{status.id}, now_, next->effects);
  EXPECT_EQ(next->status("a.service").service->state, ServiceState::auto_restart);
  EXPECT_EQ(next->all<ArmTimer>().back().kind, TimerKind::restart);
}

TEST_F(RecordTest, ASpawnWithoutAnswerIsAskedForAgainUnderItsNumber) {
  Effects first;
  add({SpecBuilder("a.service")});
  static_cast<void>(engine_.request({named("a.service")}, now_, first));
  Effects second;
  engine_.handle(StartPrepared{id("a.service")}, now_, second);
  SpawnId asked;
  for (const Effect& effect : second) {
    if (const auto* spawn = std::get_if<Spawn>(&effect)) asked = spawn->spawn;
  }
  ASSERT_TRUE(asked);
  auto next = restore(records());
  ASSERT_EQ(next->all<Spawn>().size(), 1U);
  EXPECT_EQ(next->all<Spawn>()[0].spawn, asked);
  EXPECT_EQ(next->all<Spawn>()[0].invocation, engine_.status(id("a.service")).invocation);
  next->engine.handle(Spawned{asked, ProcessId(7)}, now_, next->effects);
  EXPECT_EQ(next->status("a.service").active, ActiveState::active);
  EXPECT_FALSE(next->status("a.service").job);
  EXPECT_EQ(next->status("a.service").service->commands.size(), 0U);
}

TEST_F(RecordTest, APreparationWithoutAnswerIsAskedForAgain) {
  answers_prepare_ = false;
  add({SpecBuilder("a.service")});
  const JobId job = start("a.service");
  auto next = restore(records());
  ASSERT_EQ(next->all<PrepareStart>().size(), 1U);
  next->engine.handle(StartPrepared{next->status("a.service").id}, now_, next->effects);
  EXPECT_EQ(next->all<Spawn>().size(), 1U);
  EXPECT_EQ(next->status("a.service").job, job);
}

TEST_F(RecordTest, JobsKeepTheirNumbersAndTheirOrder) {
  add({SpecBuilder("a.service").type(ServiceType::notify),
       SpecBuilder("b.service")
           .with(Dependency::Requires, "a.service")
           .with(Dependency::After, "a.service")});
  const JobId job = start("b.service");
  auto next = restore(records());
  EXPECT_EQ(next->status("b.service").job, job);
  EXPECT_EQ(next->all<JobAdded>().size(), 2U);
  EXPECT_TRUE(next->all<Spawn>().empty());
  Notified ready{
      next->status("a.service").id, next->status("a.service").service->main, ProcessRole::main, {}};
  ready.message.ready = true;
  next->engine.handle(ready, now_, next->effects);
  EXPECT_EQ(next->all<PrepareStart>().size(), 1U);
}

TEST_F(RecordTest, CountsOfJobsGoOn) {
  add({SpecBuilder("a.service").type(ServiceType::notify), SpecBuilder("b.service"),
       SpecBuilder("c.service").type(ServiceType::notify)});
  start("b.service");
  start("a.service");
  exit_main("a.service", 1);
  start("c.service");
  // Merged into the job that is there.
  start("c.service");
  EXPECT_EQ(engine_.job_counts().installed, 3U);
  EXPECT_EQ(engine_.job_counts().failed, 1U);
  auto next = restore(records());
  next->engine.continue_counts(engine_.job_counts());
  static_cast<void>(next->engine.request({named("b.service"), JobType::stop}, now_, next->effects));
  EXPECT_EQ(next->engine.job_counts().installed, 4U);
  EXPECT_EQ(next->engine.job_counts().failed, 1U);
}

TEST_F(RecordTest, TimersKeepTheirDeadlines) {
  add({SpecBuilder("a.service")
           .type(ServiceType::notify)
           .set(Directive::TimeoutStartSec, Duration(std::chrono::seconds(20)))});
  start("a.service");
  const MonoTime deadline = now_.mono + std::chrono::seconds(20);
  now_.mono += std::chrono::seconds(7);
  auto next = restore(records());
  const auto timers = next->all<ArmTimer>();
  ASSERT_EQ(timers.size(), 1U);
  EXPECT_EQ(timers[0].kind, TimerKind::operation);
  EXPECT_EQ(timers[0].at, deadline);
}

TEST_F(RecordTest, AStopGoesOnWithItsSignal) {
  obedient_ = false;
  add({SpecBuilder("a.service")});
  start("a.service");
  stop("a.service");
  auto next = restore(records());
  ASSERT_EQ(next->all<KillProcesses>().size(), 1U);
  EXPECT_EQ(next->all<KillProcesses>()[0].signal, 15);
  EXPECT_EQ(next->status("a.service").active, ActiveState::deactivating);
}

TEST_F(RecordTest, ProcessesThatAreCalledOtherwiseNowAreFollowed) {
  add({SpecBuilder("a.service")});
  start("a.service");
  auto next = restore(records(), [](ProcessId old) { return ProcessId(old.number() + 100); });
  EXPECT_EQ(next->status("a.service").service->main.number(),
            engine_.status(id("a.service")).service->main.number() + 100);
}

TEST_F(RecordTest, AServiceOfWhichOnlyTheProcessIsKnownRuns) {
  add({SpecBuilder("a.service")});
  auto next = restore(
      {{named("a.service"), record_of_running_service(ProcessId(9), InvocationId{}, now_)}});
  EXPECT_TRUE(next->bad.empty());
  EXPECT_EQ(next->status("a.service").active, ActiveState::active);
  EXPECT_EQ(next->status("a.service").service->main, ProcessId(9));
  EXPECT_TRUE(next->all<Spawn>().empty());
}

TEST_F(RecordTest, ARecordThatMakesNoSenseIsNamedAndLeftOut) {
  add({SpecBuilder("a.service"), SpecBuilder("b.service")});
  start("a.service");
  auto all = records();
  const std::size_t phase = all[0].text.find("phase=");
  ASSERT_NE(phase, std::string::npos);
  all[0].text.replace(phase, all[0].text.find('\n', phase) - phase, "phase=200");
  all.push_back({named("none.service"), "phase=1\n"});
  auto next = restore(all);
  EXPECT_EQ(next->bad, (std::vector{named("a.service"), named("none.service")}));
  EXPECT_EQ(next->status("a.service").active, ActiveState::inactive);
}

TEST_F(RecordTest, NoRecordWithOneByteChangedBreaksTheEngine) {
  add({SpecBuilder("a.service").type(ServiceType::notify).reloadable()});
  start("a.service");
  const auto all = records();
  ASSERT_EQ(all.size(), 1U);
  for (std::size_t at = 0; at < all[0].text.size(); ++at) {
    for (const char byte : {'\0', '\n', '=', '9', '-', 'x'}) {
      auto damaged = all;
      damaged[0].text[at] = byte;
      auto next = restore(damaged);
      const UnitStatus status = next->status("a.service");
      ASSERT_NE(status.service, nullptr);
      next->engine.handle(TimerFired{status.id, TimerKind::operation, 1}, now_, next->effects);
      next->engine.handle(UnitEmpty{status.id}, now_, next->effects);
    }
  }
}

}  // namespace
}  // namespace pidward::engine::testing
