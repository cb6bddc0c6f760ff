// Units as their files are read, on a thread of its own: whoever takes them can go on with the
// first while the last are still to be read.
#pragma once

#include <condition_variable>
#include <functional>
#include <future>
#include <mutex>
#include <vector>

#include "runtime/unit_source.hpp"

namespace pidward::runtime {

class UnitStream {
 public:
  /// Begins to look at the directories. `source` is to outlive this, and loads nothing else until
  /// next() has said that this was all.
  explicit UnitStream(UnitSource& source);
  ~UnitStream();
  UnitStream(const UnitStream&) = delete;
  UnitStream& operator=(const UnitStream&) = delete;

  /// Begins to read `names` and all they lead to that is not known yet. Once.
  void read(std::vector<unit::UnitName> names);
  /// Something else to be done on that thread when all is read; the destructor waits for it. Once.
  void then(std::function<void()> rest);
  /// After read(): waits for some more, in the order in which they were found. Empty: that was all.
  [[nodiscard]] UnitSource::Specs next();

 private:
  void put(unit::UnitSpecPtr spec);
  void end();

  std::mutex mutex_;
  std::condition_variable some_;
  UnitSource::Specs read_;
  bool all_ = false;
  bool begun_ = false;
  bool has_rest_ = false;
  std::promise<std::vector<unit::UnitName>> names_;
  std::promise<std::function<void()>> rest_;
  std::future<void> reading_;  ///< last: its end waits for the thread, which uses all of the above
};

}  // namespace pidward::runtime
