// Clients that behave badly: one that never reads, one that floods, one that asks for more than it
// may. Each costs itself something, and nobody else.
#include <csignal>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "bus/bus_fixture.hpp"

namespace pidward::test {
namespace {

class HostileClients : public BusFixture {
 protected:
  /// A raw connection, authenticated by hand, of which nothing is read any more.
  sys::Fd raw_connection() {
    sys::Fd socket = *sys::make_socket(AF_UNIX, SOCK_STREAM);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = this->socket();
    std::memcpy(address.sun_path, path.c_str(), path.size());
    EXPECT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0);
    using namespace std::string_literals;
    EXPECT_TRUE(sys::write_all(socket.get(),
                               "\0AUTH ANONYMOUS\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n"s));
    return socket;
  }
  /// The bytes of one call, as they go over the wire.
  static std::string call_bytes(const std::string& member, std::uint32_t serial, bool no_reply) {
    std::string fields;
    const auto pad = [](std::string& out, std::size_t to) {
      while (out.size() % to != 0) out += '\0';
    };
    const auto number = [](std::string& out, std::uint32_t value) {
      for (int i = 0; i < 4; ++i) out += static_cast<char>(value >> (8 * i) & 0xFFU);
    };
    const auto field = [&](char code, char type, const std::string& text) {
      pad(fields, 8);
      fields += code;
      fields += '\1';
      fields += type;
      fields += '\0';
      number(fields, static_cast<std::uint32_t>(text.size()));
      fields += text;
      fields += '\0';
    };
    field(1, 'o', bus::kManagerPath);
    field(2, 's', bus::kManagerInterface);
    field(3, 's', member);
    std::string message{'l', '\1', no_reply ? '\1' : '\0', '\1'};
    number(message, 0);
    number(message, serial);
    number(message, static_cast<std::uint32_t>(fields.size()));
    message += fields;
    pad(message, 8);
    return message;
  }
  /// Whether the other end has closed the connection; waits for it, and throws away what comes.
  static bool is_closed(int socket) {
    for (;;) {
      pollfd wait{.fd = socket, .events = POLLIN | POLLRDHUP, .revents = 0};
      if (::poll(&wait, 1, test::patience_ms()) <= 0) return false;
      std::string buffer(65536, '\0');
      const ssize_t length = ::recv(socket, buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (length == 0 || (length < 0 && errno == ECONNRESET)) return true;
    }
  }
};

TEST_F(HostileClients, OneThatNeverReadsIsDisconnectedAndNobodyElseSuffers) {
  unit("web.service", kSleeper);
  start();
  Client client = this->client();
  ask(client, "GetKernelFeatures");
  const std::size_t before = descriptors();
  sys::Fd silent = raw_connection();
  // Little room in the socket, so that what is not read waits in the daemon.
  const int little = 4096;
  ::setsockopt(silent.get(), SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
  ASSERT_TRUE(sys::write_all(silent.get(), call_bytes("Subscribe", 1, false)));
  // Every reload sends signals about every unit to all private connections.
  bool closed = false;
  for (int round = 0; round < 40000 && !closed; ++round) {
    ASSERT_TRUE(client.manager("Reload"));
    pollfd look{.fd = silent.get(), .events = POLLRDHUP, .revents = 0};
    closed = ::poll(&look, 1, 0) > 0 && (look.revents & (POLLRDHUP | POLLHUP)) != 0;
  }
  EXPECT_TRUE(closed);
  EXPECT_FALSE(ask(client, "ListUnits").items.empty());
  EXPECT_TRUE(comes_back_to(client, before));
}

TEST_F(HostileClients, OneThatNeverReadsDoesNotFillTheDaemonWithDescriptors) {
  DaemonOptions options;
  options.arguments = {"--bus", "off", "--no-cgroup"};
  options.descriptors = 128;
  ASSERT_TRUE(all().start(options));
  Client client = this->client();
  auto program = Program::start({.arguments = {"/bin/sleep", "infinity"}});
  ASSERT_TRUE(program);
  ask(client, "GetKernelFeatures");
  const std::size_t before = descriptors();
  {
    // Each answer has a descriptor in it, and waits in the daemon for as long as nobody reads.
    Client silent = this->client();
    const std::string path =
        ask(silent, "OpenProcess", [&](Writer& out) { out.h(program->pidfd().get()); }).text;
    constexpr int kCalls = 2000;
    bool is_open = true;
    for (int i = 0; i < kCalls && is_open; ++i) {
      sd_bus_message* raw = nullptr;
      ASSERT_GE(sd_bus_message_new_method_call(silent.get(), &raw, bus::kBusName, path.c_str(),
                                               bus::kProcessInterface, "GetPidfd"),
                0);
      const auto call = bus::MessageRef::adopt(raw);
      is_open = sd_bus_send(silent.get(), raw, nullptr) >= 0;
      // Somebody else is served meanwhile, descriptors and all.
      if (i % 50 != 0) continue;
      const auto other = this->client().manager("ListUnits");
      EXPECT_TRUE(other) << other.error().to_string();
    }
  }
  EXPECT_TRUE(comes_back_to(client, before));
  EXPECT_FALSE(*program->pidfd().has_ended());
  EXPECT_TRUE(program->signal(SIGKILL));
  program->wait();
}

TEST_F(HostileClients, OneThatFloodsIsServedInTurn) {
  start();
  Client client = this->client();
  ask(client, "GetKernelFeatures");
  const std::size_t before = descriptors();
  sys::Fd flood = raw_connection();
  ::fcntl(flood.get(), F_SETFL, O_NONBLOCK);
  std::string burst;
  for (std::uint32_t i = 1; i <= 20000; ++i) burst += call_bytes("ListUnits", i, true);
  std::size_t sent = 0;
  int answers = 0;
  while (sent < burst.size()) {
    const ssize_t length =
        ::send(flood.get(), burst.data() + sent, burst.size() - sent, MSG_NOSIGNAL);
    if (length > 0) {
      sent += static_cast<std::size_t>(length);
    } else {
      ASSERT_EQ(errno, EAGAIN);
    }
    // Between two pieces of the flood, somebody else is answered.
    EXPECT_FALSE(ask(client, "GetKernelFeatures").items.empty());
    ++answers;
  }
  EXPECT_GT(answers, 1);
  flood.reset();
  EXPECT_TRUE(comes_back_to(client, before));
}

TEST_F(HostileClients, GarbageEndsItsOwnConnection) {
  start();
  Client client = this->client();
  ask(client, "GetKernelFeatures");
  const std::size_t before = descriptors();
  const sys::Fd socket = raw_connection();
  std::string message = call_bytes("ListUnits", 1, false);
  message[0] = 'x';
  ASSERT_TRUE(sys::write_all(socket.get(), message));
  EXPECT_TRUE(is_closed(socket.get()));
  EXPECT_FALSE(ask(client, "ListUnits").items.empty());
  EXPECT_TRUE(comes_back_to(client, before));
}

TEST_F(HostileClients, TooManyWaitsAreRefused) {
  start();
  Client client = this->client();
  auto program = Program::start({.arguments = {"/bin/sleep", "infinity"}});
  ASSERT_TRUE(program);
  const std::string path =
      ask(client, "OpenProcess", [&](Writer& out) { out.h(program->pidfd().get()); }).text;
  struct Count {
    int refused = 0;
    int ended = 0;
  } count;
  const auto answered = [](sd_bus_message* message, void* userdata, sd_bus_error*) {
    auto& into = *static_cast<Count*>(userdata);
    ++(sd_bus_message_is_method_error(message, nullptr) > 0 ? into.refused : into.ended);
    return 0;
  };
  constexpr int kCalls = 1200;
  for (int i = 0; i < kCalls; ++i) {
    sd_bus_message* raw = nullptr;
    ASSERT_GE(sd_bus_message_new_method_call(client.get(), &raw, bus::kBusName, path.c_str(),
                                             bus::kProcessInterface, "Wait"),
              0);
    const auto call = bus::MessageRef::adopt(raw);
    ASSERT_GE(sd_bus_call_async(client.get(), nullptr, raw, answered, &count, UINT64_MAX), 0);
  }
  while (count.refused == 0) {
    const auto came = client.process(test::patience());
    ASSERT_TRUE(came && *came);
  }
  EXPECT_TRUE(program->signal(SIGKILL));
  program->wait();
  while (count.refused + count.ended < kCalls) {
    const auto came = client.process(test::patience());
    ASSERT_TRUE(came && *came);
  }
  EXPECT_GT(count.ended, 0);
}

}  // namespace
}  // namespace pidward::test
