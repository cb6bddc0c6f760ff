#include "bus/object_path.hpp"

#include <gtest/gtest.h>

#include "bus/error_names.hpp"
#include "bus/writer.hpp"

namespace pidward::bus {
namespace {

using Kind = ObjectName::Kind;

TEST(ObjectPath, EscapesWhatIsNoLetterOrDigit) {
  EXPECT_EQ(unit_path("nginx.service"), "/org/pidward1/unit/nginx_2eservice");
  EXPECT_EQ(unit_path("a-b@c.service"), "/org/pidward1/unit/a_2db_40c_2eservice");
}

TEST(ObjectPath, EscapesALeadingDigitOnly) {
  EXPECT_EQ(escape_element("1a1"), "_31a1");
  EXPECT_EQ(escape_element(""), "_");
}

TEST(ObjectPath, ComesBackFromEveryByte) {
  std::string all;
  for (int byte = 1; byte < 256; ++byte) all += static_cast<char>(byte);
  EXPECT_EQ(unescape_element(escape_element(all)), all);
  EXPECT_EQ(unescape_element("_"), "");
}

TEST(ObjectPath, RefusesBrokenEscapes) {
  EXPECT_EQ(unescape_element("a_2"), std::nullopt);
  EXPECT_EQ(unescape_element("a_zz"), std::nullopt);
  EXPECT_EQ(parse_object_path("/org/pidward1/unit/a_2").kind, Kind::unknown);
}

TEST(ObjectPath, TellsObjectsApart) {
  EXPECT_EQ(parse_object_path("/").kind, Kind::ancestor);
  EXPECT_EQ(parse_object_path("/org/pidward1").kind, Kind::manager);
  EXPECT_EQ(parse_object_path("/org/pidward1/unit").kind, Kind::units);
  EXPECT_EQ(parse_object_path("/org/pidward1/unit/a_2eservice").unit, "a.service");
  EXPECT_EQ(parse_object_path("/org/pidward1/job/12").job, JobId(12));
  EXPECT_EQ(parse_object_path("/org/pidward1/job/0").kind, Kind::unknown);
  EXPECT_EQ(parse_object_path("/org/pidward1/job/1x").kind, Kind::unknown);
  EXPECT_EQ(parse_object_path("/org/pidward1/unit/a/b").kind, Kind::unknown);
  EXPECT_EQ(parse_object_path("/org/pidward11").kind, Kind::unknown);
}

TEST(ErrorNames, ComeBackAsTheSameKind) {
  for (int code = 0; code <= static_cast<int>(Errc::process_mismatch); ++code) {
    EXPECT_EQ(error_code(error_name(static_cast<Errc>(code))), static_cast<Errc>(code)) << code;
  }
  EXPECT_EQ(error_code("org.freedesktop.systemd1.NoSuchUnit"), Errc::no_such_unit);
  EXPECT_EQ(error_code("com.example.Else"), Errc::failed);
}

TEST(CleanUtf8, KeepsWhatIsValidAndMarksWhatIsNot) {
  EXPECT_EQ(clean_utf8("a\u00e4\u20ac\U0001F600"), "a\u00e4\u20ac\U0001F600");
  EXPECT_EQ(clean_utf8("a\xff"
                       "b"),
            "a\xef\xbf\xbd"
            "b");
  EXPECT_EQ(clean_utf8(std::string("a\0b", 3)),
            "a\xef\xbf\xbd"
            "b");
  EXPECT_EQ(clean_utf8("\xed\xa0\x80").find("\xed\xa0"), std::string::npos);
}

TEST(CompleteType, IsMeasured) {
  EXPECT_EQ(complete_type_length("a(sasbttttuii)s"), 14U);
  EXPECT_EQ(complete_type_length("su"), 1U);
  EXPECT_EQ(complete_type_length("aas"), 3U);
  EXPECT_EQ(complete_type_length("a"), 0U);
  EXPECT_EQ(complete_type_length(""), 0U);
}

}  // namespace
}  // namespace pidward::bus
