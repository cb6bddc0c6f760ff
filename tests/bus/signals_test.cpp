// What the daemon says by itself, in which order, and clients that do not behave.
#include <algorithm>
#include <cstring>

#include <sys/socket.h>
#include <sys/un.h>

#include "bus/object_path.hpp"
#include "support/daemon_fixture.hpp"

namespace pidward::test {
namespace {

using bus::Client;
using bus::Reader;
using bus::Writer;

class SignalsOnTheBus : public DaemonFixture {
 protected:
  void SetUp() override {
    unit("web.service", "[Service]\nExecStart=/bin/sleep infinity\n");
    start();
  }
  /// The unit that a signal of the manager is about.
  static std::string unit_of(const std::string& member, Reader& in) {
    if (member == "JobNew" || member == "JobRemoved") {
      in.u();
      in.o();
    }
    return in.s();
  }
  /// Starts web.service and returns the signals about it up to its JobRemoved, as "Member
  /// argument".
  static std::vector<std::string> signals_of_start(Client& client) {
    std::vector<std::string> seen;
    EXPECT_TRUE(client.subscribe([&](sd_bus_message* message) {
      const std::string member = sd_bus_message_get_member(message);
      Reader in(message);
      const bool is_other =
          bus::parse_object_path(sd_bus_message_get_path(message)).unit != "web.service";
      if (member == "PropertiesChanged" && is_other) return;
      if (member == "PropertiesChanged") {
        const std::string interface = in.s();
        bus::Properties changed = bus::read_properties(in);
        seen.push_back(member + " " + interface + " " + changed.text("ActiveState") +
                       changed.text("State"));
      } else if (unit_of(member, in) == "web.service") {
        seen.push_back(member);
      }
    }));
    EXPECT_TRUE(
        client.manager("StartUnit", [](Writer& out) { out.s("web.service").s("replace"); }));
    while (seen.empty() || seen.back() != "JobRemoved") {
      const auto came = client.process(test::patience());
      if (!came || !*came) break;
    }
    return seen;
  }
};

std::ptrdiff_t position(const std::vector<std::string>& seen, const std::string& what) {
  return std::find(seen.begin(), seen.end(), what) - seen.begin();
}

TEST_F(SignalsOnTheBus, ComeInSystemdsOrder) {
  Client client = this->client();
  const auto seen = signals_of_start(client);
  const auto end = static_cast<std::ptrdiff_t>(seen.size());
  ASSERT_LT(position(seen, "JobRemoved"), end);
  EXPECT_LT(position(seen, "UnitNew"), position(seen, "JobNew"));
  EXPECT_LT(position(seen, "JobNew"), position(seen, "JobRemoved"));
  // The unit's news are out before its job is said to be done, the type's interface first.
  const auto active = position(seen, "PropertiesChanged org.pidward1.Unit active");
  EXPECT_LT(active, position(seen, "JobRemoved"));
  ASSERT_GT(active, 0) << ::testing::PrintToString(seen);
  EXPECT_EQ(seen[static_cast<std::size_t>(active) - 1], "PropertiesChanged org.pidward1.Service ")
      << ::testing::PrintToString(seen);
}

TEST_F(SignalsOnTheBus, ReachEveryPrivateClient) {
  Client other = this->client();
  unsigned removed = 0;
  ASSERT_TRUE(other.subscribe([&](sd_bus_message* message) {
    if (sd_bus_message_is_signal(message, bus::kManagerInterface, "JobRemoved") > 0) ++removed;
  }));
  ASSERT_TRUE(other.manager("Subscribe"));
  Client client = this->client();
  signals_of_start(client);
  while (removed == 0) {
    const auto came = other.process(test::patience());
    if (!came || !*came) break;
  }
  EXPECT_EQ(removed, 1U);
}

/// A connection that says what it says and reads nothing.
sys::Fd raw_connection(const std::string& path) {
  sys::Fd socket(sys::adopt_fd, ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size());
  EXPECT_EQ(::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  return socket;
}

TEST_F(SignalsOnTheBus, AClientThatNeverReadsCostsTheOthersNothing) {
  const sys::Fd silent = raw_connection(socket());
  const std::string login("\0AUTH ANONYMOUS\r\nBEGIN\r\n", 24);
  ASSERT_GT(::send(silent.get(), login.data(), login.size(), MSG_NOSIGNAL), 0);
  // Introspect, over and over, until the socket takes no more.
  const std::string path = "/org/pidward1";
  const std::string member = "Introspect";
  std::string message("l\1\0\1\0\0\0\0\1\0\0\0", 12);
  std::string fields;
  const auto field = [&](char code, char type, const std::string& text) {
    fields.resize((fields.size() + 7) / 8 * 8);
    fields += {code, '\1', type, '\0'};
    fields += {static_cast<char>(text.size()), '\0', '\0', '\0'};
    fields += text + '\0';
  };
  field(1, 'o', path);
  field(3, 's', member);
  message += {static_cast<char>(fields.size()), '\0', '\0', '\0'};
  message += fields;
  message.resize((message.size() + 7) / 8 * 8);
  unsigned sent = 0;
  while (sent < 100000 && ::send(silent.get(), message.data(), message.size(), MSG_NOSIGNAL) ==
                              static_cast<ssize_t>(message.size())) {
    ++sent;
  }
  EXPECT_GT(sent, 0U);
  Client client = this->client();
  const auto seen = signals_of_start(client);
  ASSERT_FALSE(seen.empty());
  EXPECT_EQ(seen.back(), "JobRemoved");
}

TEST_F(SignalsOnTheBus, GarbageEndsOneConnectionOnly) {
  const sys::Fd stranger = raw_connection(socket());
  const std::string garbage(5000, 'x');
  ASSERT_GT(::send(stranger.get(), garbage.data(), garbage.size(), MSG_NOSIGNAL), 0);
  pollfd gone{.fd = stranger.get(), .events = POLLIN, .revents = 0};
  ASSERT_EQ(::poll(&gone, 1, test::patience_ms()), 1);
  Client client = this->client();
  EXPECT_TRUE(client.manager("ListUnits"));
}

}  // namespace
}  // namespace pidward::test
