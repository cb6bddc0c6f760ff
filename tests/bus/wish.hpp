// Properties given with StartTransientUnit and SetUnitProperties, as a client writes them.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bus/bus_fixture.hpp"

namespace pidward::test {

/// Properties of one unit, as a client writes them.
class Wish {
 public:
  Wish& text(const char* name, const std::string& value) {
    return add([=](Writer& out) {
      out.open_struct("sv").s(name).open_variant("s").s(value).close().close();
    });
  }
  Wish& flag(const char* name, bool value) {
    return add([=](Writer& out) {
      out.open_struct("sv").s(name).open_variant("b").b(value).close().close();
    });
  }
  Wish& number(const char* name, std::uint64_t value) {
    return add([=](Writer& out) {
      out.open_struct("sv").s(name).open_variant("t").t(value).close().close();
    });
  }
  Wish& list(const char* name, const std::vector<std::string>& value) {
    return add([=](Writer& out) {
      out.open_struct("sv").s(name).open_variant("as").as(value).close().close();
    });
  }
  Wish& command(const char* name, const std::vector<std::string>& argv) {
    return add([=](Writer& out) {
      out.open_struct("sv").s(name).open_variant("a(sasb)").open_array("(sasb)");
      out.open_struct("sasb").s(argv.at(0)).as(argv).b(false).close();
      out.close().close().close();
    });
  }
  Wish& descriptor(const char* name, int fd) {
    return add([=](Writer& out) {
      out.open_struct("sv").s(name).open_variant("h").h(fd).close().close();
    });
  }
  Wish& assignment(const std::string& directive, const std::string& value) {
    return add([=](Writer& out) {
      out.open_struct("sv").s("Assignments").open_variant("a(ss)").open_array("(ss)");
      out.open_struct("ss").s(directive).s(value).close();
      out.close().close().close();
    });
  }
  Wish& processes(const std::vector<std::uint32_t>& pids) {
    return add([=](Writer& out) {
      out.open_struct("sv").s("PIDs").open_variant("au").open_array("u");
      for (const std::uint32_t pid : pids) out.u(pid);
      out.close().close().close();
    });
  }
  Wish& pidfd(int fd) {
    return add([=](Writer& out) {
      out.open_struct("sv").s("PIDFDs").open_variant("ah").open_array("h").h(fd);
      out.close().close().close();
    });
  }
  /// A property of any type; `fill` writes the value.
  Wish& value(const char* name, const char* type, std::function<void(Writer&)> fill) {
    return add([=](Writer& out) {
      out.open_struct("sv").s(name).open_variant(type);
      fill(out);
      out.close().close();
    });
  }
  void write(Writer& out) const {
    out.open_array("(sv)");
    for (const auto& each : parts_) each(out);
    out.close();
  }

 private:
  Wish& add(std::function<void(Writer&)> part) {
    parts_.push_back(std::move(part));
    return *this;
  }
  std::vector<std::function<void(Writer&)>> parts_;
};

}  // namespace pidward::test
