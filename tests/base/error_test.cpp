#include "base/error.hpp"

#include <cerrno>
#include <memory>
#include <set>

#include <gtest/gtest.h>

#include "base/result.hpp"

namespace pidward {
namespace {

TEST(Error, SaysWhereWhatAndWhatToDo) {
  const Error error = Error(Errc::syntax, "Type=sometimes is not a type")
                          .at({"a.service", 7, 6})
                          .advise("Use simple, exec or notify");
  EXPECT_EQ(error.to_string(),
            "a.service:7:6: Type=sometimes is not a type. Use simple, exec or notify");
}

TEST(Error, LeavesOutWhatIsUnknownOfAPlace) {
  EXPECT_EQ((Location{"a", 0, 0}.to_string()), "a");
  EXPECT_EQ((Location{"a", 3, 0}.to_string()), "a:3");
}

TEST(Error, PutsTheOutermostContextFirst) {
  const Error error = Error(Errc::failed, "no").within("inner").within("outer");
  EXPECT_EQ(error.message(), "outer: inner: no");
}

TEST(Error, KeepsTheErrnoAndDerivesAKind) {
  const Error error = Error::from_errno(ENOENT, "Cannot open x");
  EXPECT_EQ(error.sys_errno(), ENOENT);
  EXPECT_EQ(error.code(), Errc::not_found);
  EXPECT_EQ(error.message(), "Cannot open x: No such file or directory");
  EXPECT_EQ(Error::from_errno(ESRCH, "x").code(), Errc::no_such_process);
  EXPECT_EQ(Error::from_errno(EACCES, "x").code(), Errc::access_denied);
  EXPECT_EQ(Error::from_errno(EMFILE, "x").code(), Errc::limit_exceeded);
  EXPECT_EQ(Error::from_errno(EIO, "x").code(), Errc::failed);
}

TEST(Error, KeepsErrnoThroughContextAndANewCode) {
  const Error error = Error::from_errno(EINVAL, "x").within("y").with_code(Errc::process_mismatch);
  EXPECT_EQ(error.sys_errno(), EINVAL);
  EXPECT_EQ(error.code(), Errc::process_mismatch);
}

TEST(Error, GivesEveryKindANameOfItsOwn) {
  std::set<std::string_view> names;
  const int last = static_cast<int>(Errc::process_mismatch);
  for (int code = 0; code <= last; ++code) names.insert(to_string(static_cast<Errc>(code)));
  EXPECT_EQ(names.size(), static_cast<std::size_t>(last) + 1);
}

Result<int> half(int number) {
  if (number % 2 != 0) return Error(Errc::invalid_argument, "odd");
  return number / 2;
}
Result<int> quarter(int number) {
  PIDWARD_TRY(const int once, half(number));
  PIDWARD_TRY(const int twice, half(once));
  return twice;
}
Status need_even(int number) {
  PIDWARD_CHECK(half(number));
  return {};
}

TEST(Result, CarriesAValueOrAnErrorThroughTry) {
  EXPECT_EQ(*quarter(8), 2);
  const auto failed = quarter(6);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message(), "odd");
}

TEST(Result, OfNothingIsSuccessUntilItHasAnError) {
  EXPECT_TRUE(Status());
  EXPECT_TRUE(need_even(2));
  EXPECT_EQ(need_even(3).error().code(), Errc::invalid_argument);
}

TEST(Result, FallsBackOnlyOnAnError) {
  EXPECT_EQ(half(4).value_or(9), 2);
  EXPECT_EQ(half(5).value_or(9), 9);
}

TEST(Result, MovesWhatCannotBeCopied) {
  Result<std::unique_ptr<int>> result(std::make_unique<int>(5));
  const std::unique_ptr<int> taken = *std::move(result);
  EXPECT_EQ(*taken, 5);
}

}  // namespace
}  // namespace pidward
