// Calls to the real daemon's manager, with their answers read.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "bus/object_path.hpp"
#include "support/daemon_fixture.hpp"
#include "sys/directory.hpp"

namespace pidward::test {

using bus::Client;
using bus::Data;
using bus::Reader;
using bus::Writer;

constexpr uid_t kNobody = 65534;
constexpr const char* kSleeper = "[Service]\nExecStart=/bin/sleep infinity\n";

class BusFixture : public DaemonFixture {
 protected:
  /// Calls and reads the first value of the answer.
  static Data ask(Client& client, const char* method,
                  const std::function<void(Writer&)>& fill = {}) {
    const auto answer = client.manager(method, fill);
    EXPECT_TRUE(answer) << method << ": " << answer.error().to_string();
    if (!answer) return {};
    Reader in(answer->get());
    return bus::read_data(in);
  }
  static Errc error_of(Client& client, const char* method,
                       const std::function<void(Writer&)>& fill = {}) {
    const auto answer = client.manager(method, fill);
    EXPECT_FALSE(answer) << method << " should have failed";
    if (answer) return Errc::failed;
    EXPECT_FALSE(answer.error().message().empty());
    return answer.error().code();
  }
  /// How many descriptors the daemon has open.
  std::size_t descriptors() {
    const auto entries = sys::list_directory("/proc/" + std::to_string(daemon().pid()) + "/fd");
    EXPECT_TRUE(entries) << entries.error().to_string();
    return entries ? entries->size() : 0;
  }
  /// Whether the daemon has that many again once it has seen what was closed and ended: asks it
  /// other things meanwhile, so that it has turns.
  bool comes_back_to(Client& client, std::size_t wanted) {
    const auto deadline = std::chrono::steady_clock::now() + patience();
    std::size_t now = descriptors();
    while (now != wanted && std::chrono::steady_clock::now() < deadline) {
      ask(client, "GetKernelFeatures");
      now = descriptors();
    }
    EXPECT_EQ(now, wanted);
    return now == wanted;
  }
  /// The D-Bus name of the error that a call without arguments gets.
  static std::string error_name_of(Client& client, const char* path, const char* interface,
                                   const char* member) {
    bus::BusError error;
    sd_bus_message* answer = nullptr;
    EXPECT_LT(sd_bus_call_method(client.get(), bus::kBusName, path, interface, member, error.out(),
                                 &answer, ""),
              0);
    const auto owned = bus::MessageRef::adopt(answer);
    return error.get()->name == nullptr ? "" : error.get()->name;
  }
  /// Calls what queues a job and waits for its JobRemoved; the result, or nothing after an error.
  static std::string run_job(Client& client, const char* method,
                             const std::function<void(Writer&)>& fill) {
    std::map<std::string, std::string> results;
    EXPECT_TRUE(client.subscribe([&](sd_bus_message* message) {
      if (sd_bus_message_is_signal(message, bus::kManagerInterface, "JobRemoved") <= 0) return;
      Reader in(message);
      in.u();
      const std::string path = in.o();
      in.s();
      results[path] = in.s();
    }));
    const std::string job = ask(client, method, fill).text;
    while (!job.empty() && results.count(job) == 0) {
      const auto came = client.process(test::patience());
      if (!came || !*came) break;
    }
    client.unsubscribe();
    return results[job];
  }
  static std::string run_job(Client& client, const char* method, const std::string& unit) {
    return run_job(client, method, [&](Writer& out) { out.s(unit).s("replace"); });
  }
};

}  // namespace pidward::test
