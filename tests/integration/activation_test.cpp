// Sockets: traffic starts the service, which finds them at 3, 4, … with their names.
#include <set>
#include <sstream>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "integration/supervisor.hpp"

namespace pidward::testing {
namespace {

/// Says to every connection what it was passed, and how.
constexpr const char* kServer = R"(
use strict; use warnings; use Fcntl;
my $count = $ENV{LISTEN_FDS};
my @sockets = map { open(my $socket, '+<&=', $_) or die "$_: $!"; $socket } 3 .. 2 + $count;
my $mine = $ENV{LISTEN_PID} == $$ ? 'mine' : 'not mine';
my $modes = join ':', map { fcntl($_, F_GETFL, 0) & O_NONBLOCK ? 'n' : 'b' } @sockets;
while (1) {
  my $wanted = '';
  vec($wanted, fileno($_), 1) = 1 for @sockets;
  select(my $ready = $wanted, undef, undef, undef);
  for my $socket (@sockets) {
    next unless vec($ready, fileno($socket), 1);
    accept(my $client, $socket) or next;
    print $client "$count $ENV{LISTEN_FDNAMES} $mine $modes\n";
    close $client;
  }
}
)";

class Activation : public ::testing::Test {
 protected:
  [[nodiscard]] std::string path(const std::string& name) const {
    return supervisor_.directory.path(name);
  }
  /// Connects, says `text` and returns all that is answered.
  [[nodiscard]] std::string ask(const std::string& socket_name,
                                const std::string& text = {}) const {
    sys::Fd connection(sys::adopt_fd, ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path(socket_name).copy(address.sun_path, sizeof address.sun_path - 1);
    if (::connect(connection.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
      return "refused";
    EXPECT_TRUE(sys::write_all(connection.get(), text));
    ::shutdown(connection.get(), SHUT_WR);
    const auto answer = sys::read_all(connection.get());
    return answer ? *answer : answer.error().to_string();
  }
  void socket(const std::string& name, const std::string& lines) const {
    supervisor_.write_unit(
        name + ".socket",
        "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=" + path(name) + "\n" + lines);
  }
  void service(const std::string& name, const std::string& lines) const {
    supervisor_.write_unit(name + ".service",
                           "[Unit]\nDefaultDependencies=no\n[Service]\n" + lines);
  }
  void server(const std::string& lines) const {
    supervisor_.directory.write("server.pl", kServer);
    service("server", "ExecStart=/usr/bin/perl " + path("server.pl") + "\n" + lines);
  }

  Supervisor supervisor_{Supervisor::Options{.system_units = false}};
};

TEST_F(Activation, TrafficStartsTheServiceWhichServesIt) {
  server("");
  socket("server", "FileDescriptorName=front\n");
  ASSERT_EQ(supervisor_.ctl({"start", "server.socket"}).exit_code, 0);
  EXPECT_EQ(supervisor_.property("server.service", "ActiveState"), "inactive");
  EXPECT_EQ(ask("server"), "1 front mine b\n");
  EXPECT_EQ(supervisor_.property("server.service", "ActiveState"), "active");
  EXPECT_EQ(supervisor_.property("server.socket", "SubState"), "running");
  // It stops, the socket stays, and the next one to knock starts it again.
  ASSERT_EQ(supervisor_.ctl({"stop", "server.service"}).exit_code, 0);
  EXPECT_EQ(ask("server"), "1 front mine b\n");
  ASSERT_EQ(supervisor_.ctl({"stop", "server.socket", "server.service"}).exit_code, 0);
}

TEST_F(Activation, SocketsNamesFurtherOnesToInherit) {
  server("NonBlocking=yes\nSockets=side.socket\n");
  service("side", "ExecStart=/bin/sleep 1000\n");
  socket("server", "FileDescriptorName=front\n");
  socket("side", "FileDescriptorName=side\n");
  ASSERT_EQ(supervisor_.ctl({"start", "server.socket", "side.socket"}).exit_code, 0);
  std::istringstream answer(ask("server"));
  std::string count;
  std::string names;
  std::string rest;
  answer >> count >> names >> std::ws;
  std::getline(answer, rest);
  EXPECT_EQ(count, "2");
  EXPECT_TRUE(names == "front:side" || names == "side:front") << names;
  EXPECT_EQ(rest, "mine n:n");
  // The other's own service is still what its traffic starts.
  EXPECT_EQ(supervisor_.property("server.service", "TriggeredBy"), "server.socket side.socket");
}

TEST_F(Activation, AcceptMakesAnInstanceForEachConnection) {
  socket("each", "Accept=yes\n");
  // Output goes to the peer as well, as where "inherit" is written.
  service("each@", "ExecStart=/bin/cat\nStandardInput=socket\n");
  ASSERT_EQ(supervisor_.ctl({"start", "each.socket"}).exit_code, 0);
  EXPECT_EQ(ask("each", "first"), "first");
  EXPECT_EQ(ask("each", "second"), "second");
  EXPECT_EQ(supervisor_.property("each.socket", "NAccepted"), "2");
  EXPECT_EQ(supervisor_.property("each.socket", "ActiveState"), "active");
}

TEST_F(Activation, ASocketWhoseInstancesHaveNoServiceFails) {
  socket("nobody", "Accept=yes\n");
  ASSERT_EQ(supervisor_.ctl({"start", "nobody.socket"}).exit_code, 0);
  static_cast<void>(ask("nobody"));  // reset or closed, as it comes
  EXPECT_TRUE(supervisor_.reaches("nobody.socket", "ActiveState", "failed"));
  EXPECT_EQ(supervisor_.property("nobody.socket", "Result"), "resources");
  EXPECT_EQ(supervisor_.property("nobody.socket", "NAccepted"), "1");
}

TEST_F(Activation, DirectoriesThatAreMadeHaveTheModeThatIsWritten) {
  supervisor_.write_unit(
      "open.socket", "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=" + path("wide/open") +
                         "\nSymlinks=" + path("links/open") + "\nDirectoryMode=0777\n");
  service("open", "ExecStart=/bin/sleep 1000\n");
  ASSERT_EQ(supervisor_.ctl({"start", "open.socket"}).exit_code, 0);
  for (const char* name : {"wide", "links"}) {
    struct stat status {};
    ASSERT_EQ(::stat(path(name).c_str(), &status), 0) << name;
    EXPECT_EQ(status.st_mode & 07777U, 0777U) << name;
  }
}

TEST_F(Activation, AnInstanceIsToldWhoIsAtTheOtherEnd) {
  constexpr const char* kAddress = "127.0.0.1 18473";
  supervisor_.write_unit("peer.socket",
                         "[Unit]\nDefaultDependencies=no\n[Socket]\n"
                         "ListenStream=127.0.0.1:18473\nAccept=yes\n");
  service("peer@",
          "ExecStart=/bin/sh -c 'echo $REMOTE_ADDR; test -n \"$REMOTE_PORT\" && echo port'\n"
          "StandardInput=socket\nStandardOutput=socket\n");
  ASSERT_EQ(supervisor_.ctl({"start", "peer.socket"}).exit_code, 0);
  EXPECT_EQ(run_shell(std::string("nc ") + kAddress + " </dev/null").output, "127.0.0.1\nport\n");
}

TEST_F(Activation, AConnectionThatIsNoStandardStreamIsPassedAsOthersAre) {
  socket("passed", "Accept=yes\n");
  supervisor_.directory.write(
      "passed.sh",
      "test $LISTEN_PID = $$ && echo \"$LISTEN_FDS $LISTEN_FDNAMES\" >&3 && cat <&3 >&3\n");
  service("passed@", "ExecStart=/bin/sh " + path("passed.sh") + "\n");
  ASSERT_EQ(supervisor_.ctl({"start", "passed.socket"}).exit_code, 0);
  EXPECT_EQ(ask("passed", "and this"), "1 connection\nand this");
}

TEST_F(Activation, ASocketWithoutItsServiceIsRefused) {
  socket("alone", "");
  const auto refused = supervisor_.ctl({"start", "alone.socket"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.output.find("alone.service is not loaded"), std::string::npos)
      << refused.output;
}

TEST_F(Activation, AServiceThatFailsAtOnceClosesItsSocketRatherThanSpin) {
  socket("broken", "");
  service("broken", "ExecStart=/bin/false\n");
  ASSERT_EQ(supervisor_.ctl({"start", "broken.socket"}).exit_code, 0);
  static_cast<void>(ask("broken"));  // reset or closed, as it comes
  EXPECT_TRUE(supervisor_.reaches("broken.socket", "ActiveState", "failed"));
}

}  // namespace
}  // namespace pidward::testing
