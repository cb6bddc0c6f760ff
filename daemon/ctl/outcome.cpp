#include "ctl/outcome.hpp"

#include <fmt/core.h>
#include <nlohmann/json.hpp>
#include <sys/wait.h>

#include "ctl/verbs.hpp"

namespace pidward::ctl {
namespace {

const char* code_word(std::uint64_t code) {
  switch (code) {
    case CLD_EXITED:
      return "exited";
    case CLD_KILLED:
      return "killed";
    case CLD_DUMPED:
      return "dumped";
    default:
      return "unknown";
  }
}

}  // namespace

void say_json(const nlohmann::json& value) {
  fmt::print("{}\n", value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

nlohmann::json error_json(const Error& error) {
  return {{"error", error.to_string()}, {"kind", to_string(error.code())}};
}

nlohmann::json failed_outcome(const std::string& name, const Error& error) {
  nlohmann::json object = error_json(error);
  object["name"] = name;
  object["result"] = "failed";
  return object;
}

void add_process_end(nlohmann::json& object, std::uint64_t code, int status) {
  object["code"] = code_word(code);
  object["status"] = status;
  object["exit"] = exit_code_of_process(code, status);
}

}  // namespace pidward::ctl
