// Waiting for jobs: shows what is waited for, and how they ended.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "ctl/session.hpp"

namespace pidward::ctl {

class JobWaiter {
 public:
  explicit JobWaiter(Session& session) : session_(session) {}
  ~JobWaiter();
  JobWaiter(const JobWaiter&) = delete;
  JobWaiter& operator=(const JobWaiter&) = delete;

  /// Listens for the ends of jobs; before the first job is asked for.
  Status watch();
  /// The job at `path` is one to wait for.
  void add(const std::string& path, const std::string& unit);
  /// Until all have ended; says which failed and why. `noun`: "start", in "The start job for …".
  int wait(const char* noun);

 private:
  void job_removed(sd_bus_message* message);
  void show_what_is_waited_for();

  Session& session_;
  bool watching_ = false;
  std::map<std::string, std::string> waiting_;              ///< job path → unit
  std::vector<std::pair<std::string, std::string>> ended_;  ///< unit, result
  std::map<std::string, std::string> early_;  ///< ended before the reply that named them
};

}  // namespace pidward::ctl
