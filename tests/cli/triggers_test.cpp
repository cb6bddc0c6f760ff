// Timers and paths with the real daemon: what elapses or comes to be starts its service.
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <utime.h>

#include "support/daemon_fixture.hpp"

namespace pidward::test {
namespace {

using nlohmann::json;

class Triggers : public DaemonFixture {
 protected:
  void SetUp() override {
    ASSERT_EQ(::mkfifo(directory.path("words").c_str(), 0600), 0);
    // Open for both, so that writers never wait and the end is never read.
    words_ = sys::Fd(sys::adopt_fd,
                     ::open(directory.path("words").c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));
    ASSERT_TRUE(words_);
  }
  /// A service that runs `commands` and says `word`.
  void speaker(const std::string& name, const std::string& word,
               const std::string& commands = ":") {
    unit(name, "[Service]\nType=oneshot\nExecStart=/bin/sh -c '" + commands + "; echo " + word +
                   " > " + directory.path("words") + "'\n");
  }
  /// What the services said, as soon as it is as long as this.
  std::string heard(std::size_t length) {
    std::string text;
    while (text.size() < length) {
      pollfd wait{words_.get(), POLLIN, 0};
      if (::poll(&wait, 1, test::patience_ms()) <= 0) break;
      char buffer[256];
      const ssize_t got = ::read(words_.get(), buffer, sizeof buffer);
      if (got > 0) text.append(buffer, static_cast<std::size_t>(got));
    }
    return text;
  }
  void start_daemon() { start({"--no-cgroup", "--state-dir", directory.path("state")}); }
  void start_unit(const std::string& name) {
    const CtlResult started = ctl({"start", name});
    ASSERT_EQ(started.code, 0) << started.err;
  }

  sys::Fd words_;
};

TEST_F(Triggers, ACalendarTimerFiresAgainAndAgain) {
  unit("tick.timer", "[Timer]\nOnCalendar=*:*:*\nAccuracySec=1us\n");
  speaker("tick.service", "tick");
  start_daemon();
  start_unit("tick.timer");
  EXPECT_EQ(heard(10), "tick\ntick\n");
  const json rows = json::parse(ctl({"list-timers", "--json"}).out);
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0]["unit"], "tick.timer");
  EXPECT_EQ(rows[0]["activates"], "tick.service");
  EXPECT_GT(rows[0]["last"].get<std::uint64_t>(), 1'600'000'000'000'000U);
}

TEST_F(Triggers, ATimerOfTheFutureIsListedAndDoesNotFire) {
  unit("late.timer", "[Timer]\nOnCalendar=2190-01-01 UTC\nOnActiveSec=30d\n");
  speaker("late.service", "late");
  start_daemon();
  start_unit("late.timer");
  EXPECT_EQ(ctl({"show", "-P", "NextElapseUSecRealtime", "late.timer"}, {}, {"TZ=UTC"}).out,
            "Fri 2190-01-01 00:00:00 UTC\n");
  EXPECT_EQ(ctl({"show", "-p", "SubState", "--value", "late.timer"}).out, "waiting\n");
  const std::string table = ctl({"list-timers"}).out;
  EXPECT_NE(table.find("late.timer"), std::string::npos) << table;
  EXPECT_NE(table.find("1 timers listed"), std::string::npos) << table;
  EXPECT_EQ(ctl({"show", "-p", "ActiveState", "--value", "late.service"}).out, "inactive\n");
}

TEST_F(Triggers, APersistentTimerMakesUpForWhatItMissed) {
  unit("yearly.timer", "[Timer]\nOnCalendar=yearly\nPersistent=yes\n");
  unit("fresh.timer", "[Timer]\nOnCalendar=yearly\nPersistent=yes\n");
  speaker("yearly.service", "caught-up");
  speaker("fresh.service", "fresh");
  const std::string stamp = directory.write("state/timers/stamp-yearly.timer", "");
  const utimbuf long_ago{1'000'000'000, 1'000'000'000};
  ASSERT_EQ(::utime(stamp.c_str(), &long_ago), 0);
  start_daemon();
  start_unit("fresh.timer");
  start_unit("yearly.timer");
  EXPECT_EQ(heard(10), "caught-up\n");
  EXPECT_TRUE(std::filesystem::exists(directory.path("state/timers/stamp-fresh.timer")));
}

TEST_F(Triggers, APathThatComesToBeStartsItsService) {
  unit("flag.path", "[Path]\nPathExists=" + directory.path("in/flag") + "\n");
  speaker("flag.service", "seen", "rm " + directory.path("in/flag"));
  start_daemon();
  start_unit("flag.path");
  directory.write("in/flag", "");
  EXPECT_EQ(heard(5), "seen\n");
  directory.write("in/flag", "");
  EXPECT_EQ(heard(5), "seen\n");
  const json rows = json::parse(ctl({"list-paths", "--json"}).out);
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0]["path"], directory.path("in/flag"));
  EXPECT_EQ(rows[0]["condition"], "PathExists");
  EXPECT_EQ(rows[0]["activates"], "flag.service");
}

TEST_F(Triggers, AFileThatIsReplacedHasChanged) {
  directory.write("config", "1");
  unit("config.path", "[Path]\nPathChanged=" + directory.path("config") + "\nUnit=apply.service\n");
  speaker("apply.service", "applied");
  start_daemon();
  start_unit("config.path");
  directory.write("config.new", "2");
  std::filesystem::rename(directory.path("config.new"), directory.path("config"));
  EXPECT_EQ(heard(8), "applied\n");
}

TEST_F(Triggers, ASpoolDirectoryIsMadeAndItsFirstEntryCounts) {
  unit("spool.path", "[Path]\nDirectoryNotEmpty=" + directory.path("var/spool") +
                         "\nMakeDirectory=yes\nDirectoryMode=0700\n");
  speaker("spool.service", "emptied", "rm -f " + directory.path("var/spool") + "/*");
  start_daemon();
  start_unit("spool.path");
  EXPECT_TRUE(std::filesystem::is_directory(directory.path("var/spool")));
  directory.write("var/spool/job", "");
  EXPECT_EQ(heard(8), "emptied\n");
}

}  // namespace
}  // namespace pidward::test
