// What the parts of the runtime share. All of it lives on the loop.
#pragma once

#include <boost/asio/io_context.hpp>

#include "engine/engine.hpp"
#include "process/process_table.hpp"
#include "runtime/config.hpp"
#include "runtime/descriptor_watcher.hpp"
#include "runtime/worker_pool.hpp"
#include "sys/features.hpp"

namespace pidward::runtime {

/// Takes the world's events to the engine.
class EventSink {
 public:
  virtual ~EventSink() = default;
  /// Queues an event; it is handled before the loop waits again.
  virtual void post(engine::Event event) = 0;
  /// Handles all that is queued now, unless that is being done already.
  virtual void drain() = 0;
};

struct Core {
  boost::asio::io_context& io;
  const Config& config;
  const sys::KernelFeatures& features;
  DescriptorWatcher& watcher;
  WorkerPool& pool;
  process::ProcessTable& table;
  EventSink& events;
  const engine::Engine& engine;
};

/// A message about a unit.
inline void log_about(LogLevel level, const unit::UnitSpec& spec, std::string_view id,
                      std::string message) {
  LogRecord record;
  record.level = level;
  record.unit = spec.name.str();
  record.id = id;
  record.message = std::move(message);
  log(record);
}

}  // namespace pidward::runtime
