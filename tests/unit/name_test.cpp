#include "unit/name.hpp"

#include <gmock/gmock.h>

namespace pidward::unit {
namespace {

using testing::HasSubstr;

TEST(UnitName, TakesPlainTemplateAndInstanceNamesApart) {
  const auto plain = UnitName::parse("dbus-org.example.Foo.service");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->type(), UnitType::service);
  EXPECT_EQ(plain->stem(), "dbus-org.example.Foo");
  EXPECT_EQ(plain->prefix(), "dbus-org.example.Foo");
  EXPECT_FALSE(plain->is_template() || plain->is_instance());

  const auto instance = UnitName::parse("getty@tty1.service");
  ASSERT_TRUE(instance);
  EXPECT_EQ(instance->prefix(), "getty");
  EXPECT_EQ(instance->instance(), "tty1");
  EXPECT_TRUE(instance->is_instance());
  EXPECT_EQ(instance->template_name().str(), "getty@.service");

  const auto filled = instance->template_name().with_instance("a@b");
  ASSERT_TRUE(filled);
  EXPECT_EQ(filled->str(), "getty@a@b.service");
  EXPECT_EQ(filled->instance(), "a@b");
  EXPECT_EQ(filled->with_type(UnitType::socket).str(), "getty@a@b.socket");
}

TEST(UnitName, IsTheSameByItsTextHoweverItCameToBe) {
  const auto one = UnitName::parse("a.service");
  const auto other = UnitName::parse("a.service");
  ASSERT_TRUE(one && other);
  UnitName copy = *one;
  EXPECT_EQ(&copy.str(), &one->str());
  EXPECT_EQ(copy, *other);
  EXPECT_EQ(std::hash<UnitName>{}(copy), std::hash<UnitName>{}(*other));
  copy = *UnitName::parse("b.service");
  EXPECT_EQ(one->str(), "a.service");
  EXPECT_LT(*one, copy);
}

TEST(UnitName, KnowsEveryTypeAndWhichOfThemAreManaged) {
  for (const char* text :
       {"a.service", "a.socket", "a.target", "a.timer", "a.path", "a.slice", "a.scope"}) {
    ASSERT_TRUE(UnitName::parse(text)) << text;
    EXPECT_TRUE(is_managed(UnitName::parse(text)->type())) << text;
  }
  for (const char* text : {"a.mount", "a.automount", "a.swap", "a.device"}) {
    ASSERT_TRUE(UnitName::parse(text)) << text;
    EXPECT_FALSE(is_managed(UnitName::parse(text)->type())) << text;
  }
}

TEST(UnitName, RefusesWhatIsNotAName) {
  const std::string longest = std::string(255 - 8, 'a') + ".service";
  EXPECT_TRUE(UnitName::parse(longest));
  for (const std::string& text :
       {std::string(), std::string("nginx"), std::string(".service"), std::string("@.service"),
        std::string("@a.service"), std::string("a b.service"), std::string("a/b.service"),
        std::string("nginx.servic"), "a" + longest, std::string("a\0b.service", 11),
        std::string("\xc3\xa4.service")}) {
    EXPECT_FALSE(UnitName::parse(text)) << text;
  }
  EXPECT_THAT(UnitName::parse("a b.service").error().to_string(),
              HasSubstr("the character ' ' is not allowed"));
  EXPECT_THAT(UnitName::parse("nginx.servic").error().to_string(), HasSubstr(".service, .socket"));
}

TEST(UnitName, IsCompletedAsAPersonMeansIt) {
  EXPECT_EQ(UnitName::mangle("nginx")->str(), "nginx.service");
  EXPECT_EQ(UnitName::mangle("nginx.socket")->str(), "nginx.socket");
  EXPECT_EQ(UnitName::mangle("multi-user", UnitType::target)->str(), "multi-user.target");
  EXPECT_EQ(UnitName::mangle("/dev/sda1")->str(), "dev-sda1.device");
  EXPECT_EQ(UnitName::mangle("/home/me")->str(), "home-me.mount");
  EXPECT_EQ(UnitName::mangle("/")->str(), "-.mount");
  EXPECT_EQ(UnitName::mangle("a b/c")->str(), "a\\x20b-c.service");
  EXPECT_EQ(UnitName::mangle("libvirt.foo")->str(), "libvirt.foo.service");
  EXPECT_FALSE(UnitName::mangle(""));
}

TEST(UnitName, EscapesAsSystemdEscapeDoes) {
  EXPECT_EQ(escape("Hallöchen, Meister"), "Hall\\xc3\\xb6chen\\x2c\\x20Meister");
  EXPECT_EQ(escape("a-b/c"), "a\\x2db-c");
  EXPECT_EQ(escape(".hidden.file"), "\\x2ehidden.file");
  EXPECT_EQ(escape_path("/dev//sda/"), "dev-sda");
  EXPECT_EQ(escape_path("/"), "-");
  EXPECT_EQ(escape_path("/foo/./bar"), "foo-bar");
}

TEST(UnitName, UnescapesWhatItEscaped) {
  for (const std::string text : {"a-b/c", "Hallöchen, Meister", ".x", "tabs\tand\nlines", ""}) {
    EXPECT_EQ(*unescape(escape(text)), text);
  }
  EXPECT_EQ(*unescape_path("-"), "/");
  EXPECT_EQ(*unescape_path("dev-sda"), "/dev/sda");
  for (const char* broken : {"\\x", "\\x2", "\\xzz", "\\y20", "a\\"})
    EXPECT_FALSE(unescape(broken)) << broken;
  EXPECT_FALSE(unescape_path("a--b"));
}

}  // namespace
}  // namespace pidward::unit
