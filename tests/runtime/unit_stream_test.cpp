// Units that are handed over while the rest is still read.
#include "runtime/unit_stream.hpp"

#include <string>
#include <unordered_map>

#include <boost/asio/io_context.hpp>
#include <fmt/core.h>
#include <gtest/gtest.h>

#include "support/temporary_directory.hpp"

namespace pidward::runtime {
namespace {

class UnitStreamTest : public ::testing::Test {
 protected:
  static constexpr int kUnits = 300;  // more than are handed over at once

  UnitStreamTest() {
    for (int i = 0; i < kUnits; ++i) {
      directory_.write(name(i), fmt::format("[Unit]\nDescription={}\nDefaultDependencies=no\n"
                                            "Wants=shared.target\n[Service]\nExecStart=/bin/true\n",
                                            i));
    }
    directory_.write("shared.target", "[Unit]\nDescription=Shared\n");
  }
  static std::string name(int i) { return fmt::format("unit-{}.service", i); }
  unit::LoaderContext context() {
    unit::LoaderContext context;
    context.path.directories = {directory_.path()};
    return context;
  }
  static std::vector<unit::UnitName> names() {
    std::vector<unit::UnitName> all;
    for (int i = 0; i < kUnits; ++i) all.push_back(*unit::UnitName::parse(name(i)));
    return all;
  }

  test::TemporaryDirectory directory_;
  boost::asio::io_context io_;
  WorkerPool pool_{io_};
  UnitSource source_{pool_, context()};
};

TEST_F(UnitStreamTest, GivesEachUnitOnceAndThenSaysThatThisWasAll) {
  UnitStream stream(source_);
  stream.read(names());
  std::unordered_map<std::string, int> seen;
  for (auto some = stream.next(); !some.empty(); some = stream.next()) {
    for (const unit::UnitSpecPtr& spec : some) {
      ++seen[spec->name.str()];
      // Whoever takes it says so while the others are read.
      source_.known().add(*spec);
    }
  }
  for (int i = 0; i < kUnits; ++i) EXPECT_EQ(seen[name(i)], 1) << i;
  EXPECT_EQ(seen["shared.target"], 1);
  EXPECT_TRUE(stream.next().empty());
  // From here on the source loads for others again.
  for (const unit::UnitSpecPtr& spec : source_.load_now(names())) {
    EXPECT_NE(spec->load_state, unit::LoadState::loaded) << spec->name.str();
  }
}

TEST_F(UnitStreamTest, DoesTheRestWhenAllIsReadAndIsWaitedFor) {
  std::size_t loaded = 0;
  {
    UnitStream stream(source_);
    stream.then([&] { loaded = source_.load_now(names()).size(); });
    stream.read(names());
  }
  EXPECT_GE(loaded, static_cast<std::size_t>(kUnits));
}

TEST_F(UnitStreamTest, MayGoWithoutHavingBeenAskedOrListenedTo) {
  { const UnitStream never(source_); }
  {
    UnitStream unheard(source_);
    unheard.read(names());
  }
  EXPECT_GE(source_.load_now(names()).size(), static_cast<std::size_t>(kUnits));
}

}  // namespace
}  // namespace pidward::runtime
