// Who may do what on the private socket: reading is for everybody, changing is for root and the
// daemon's own user, and what gives a hold on processes is a change.
#include <algorithm>
#include <array>

#include <fcntl.h>
#include <unistd.h>

#include "bus/bus_fixture.hpp"
#include "bus/interface.hpp"

namespace pidward::test {
namespace {

class Access : public BusFixture {
 protected:
  /// A connection whose other end is nobody's.
  Client stranger() {
    EXPECT_EQ(::seteuid(kNobody), 0);
    Client client = this->client();
    EXPECT_EQ(::seteuid(0), 0);
    return client;
  }

  /// Arguments of these types that mean as little as possible.
  void fill(Writer& out, std::string_view types) const {
    while (!types.empty()) {
      if (types[0] == 'h') {
        out.h(null_.get());
        types.remove_prefix(1);
      } else if (types[0] == 's') {
        out.s("held.service");
        types.remove_prefix(1);
      } else {
        const std::size_t length = length_of_type(types);
        out.empty(types.substr(0, length));
        types.remove_prefix(length);
      }
    }
  }

  /// Calls every method of the interface that `wanted` takes; the error names of the answers.
  void call_each(Client& client, const std::string& path,
                 std::span<const bus::Interface* const> interfaces, bus::Access wanted,
                 const std::function<void(const std::string& member, Errc code)>& answered) {
    for (const bus::Interface* interface : interfaces) {
      for (const bus::Method& method : interface->methods()) {
        if (method.access != wanted) continue;
        // These answer when something has happened.
        if (method.name == "Wait") continue;
        const std::string member(method.name);
        const auto answer = client.call(path, interface->name().c_str(), member.c_str(),
                                        [&](Writer& out) { fill(out, method.in); });
        answered(interface->name() + "." + member, answer ? Errc::failed : answer.error().code());
      }
    }
  }

 private:
  static std::size_t length_of_type(std::string_view types) {
    if (types[0] == 'a') return 1 + length_of_type(types.substr(1));
    if (types[0] != '(' && types[0] != '{') return 1;
    int depth = 0;
    for (std::size_t i = 0; i < types.size(); ++i) {
      depth += types[i] == '(' || types[i] == '{' ? 1 : 0;
      depth -= types[i] == ')' || types[i] == '}' ? 1 : 0;
      if (depth == 0) return i + 1;
    }
    return types.size();
  }

  sys::Fd null_ = *sys::open_path("/dev/null", O_RDONLY);
};

TEST_F(Access, AStrangerReadsEverythingAndChangesNothing) {
  unit("held.service", kSleeper);
  unit("late.service",
       "[Service]\nType=oneshot\nTimeoutStartSec=infinity\nExecStart=/bin/sleep infinity\n");
  start();
  Client root = client();
  ASSERT_EQ(run_job(root, "StartUnit", "held.service"), "done");
  const std::string job =
      ask(root, "StartUnit", [](Writer& out) { out.s("late.service").s("replace"); }).text;
  const auto main =
      root.property(bus::unit_path("held.service"), "org.pidward1.Service", "MainProcess");
  ASSERT_TRUE(main);
  Client client = stranger();
  const std::string process =
      ask(client, "GetProcess", [&](Writer& out) { out.t(main->number); }).text;

  const bus::Catalogue catalogue;
  std::size_t refused = 0;
  const auto is_refused = [&refused](const std::string& member, Errc code) {
    EXPECT_EQ(code, Errc::access_denied) << member;
    ++refused;
  };
  const auto is_read = [](const std::string& member, Errc code) {
    EXPECT_NE(code, Errc::access_denied) << member;
  };
  struct Object {
    std::string path;
    std::span<const bus::Interface* const> interfaces;
  };
  const std::vector<Object> objects{
      {bus::kManagerPath, catalogue.manager()},
      {bus::unit_path("held.service"), catalogue.unit(unit::UnitType::service)},
      {job, catalogue.job()},
      {process, catalogue.process()}};
  for (const Object& object : objects) {
    call_each(client, object.path, object.interfaces, bus::Access::read, is_read);
    call_each(client, object.path, object.interfaces, bus::Access::change, is_refused);
    EXPECT_TRUE(client.properties(object.path)) << object.path;
  }
  EXPECT_GT(refused, 60U);
  // All of it is as it was.
  const auto state = client.properties(bus::unit_path("held.service"));
  ASSERT_TRUE(state);
  EXPECT_EQ(state->text("ActiveState"), "active");
  EXPECT_EQ(state->number("MainProcess"), main->number);
  EXPECT_EQ(ask(client, "ListLeases").items.size(), 0U);
  EXPECT_EQ(ask(client, "ListJobs").items.size(), 1U);
}

TEST_F(Access, WhatGivesAHoldOnProcessesIsAChange) {
  const bus::Catalogue catalogue;
  const auto is_change = [](std::span<const bus::Interface* const> interfaces,
                            std::string_view name) {
    const bus::Method* method = nullptr;
    for (const bus::Interface* interface : interfaces) {
      if (method == nullptr) method = interface->method(name);
    }
    return method != nullptr && method->access == bus::Access::change;
  };
  for (const char* name : {"LeaseUnit", "LeaseProcess", "HoldTransientUnit", "BindToProcess",
                           "StartTransientUnit", "AttachProcessesToUnit"}) {
    EXPECT_TRUE(is_change(catalogue.manager(), name)) << name;
  }
  for (const char* name : {"GetPidfd", "Signal", "SignalTree"}) {
    EXPECT_TRUE(is_change(catalogue.process(), name)) << name;
  }
}

}  // namespace
}  // namespace pidward::test
