// A few threads for everything that may block, so that the loop never does: unit files, user
// look-ups, conditions, slow disks. Started with the first task. Where all of them are held up, as
// by a network mount that is dead, further ones take their place: one unit's disk is no other's.
//
// A task owns what it works with, and what is to be done with its result stays on the loop: a
// thread that is still held up when the daemon ends is left to itself.
#pragma once

#include <condition_variable>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "runtime/loop_timer.hpp"
#include "sys/fd.hpp"

namespace pidward::runtime {

/// From other threads to the loop. They may have it for longer than the loop lives.
class LoopDoor {
 public:
  explicit LoopDoor(boost::asio::io_context& io) : io_(&io) {}
  /// Runs `body` on the loop, unless the door is closed; what is dropped is destroyed here.
  template <typename F>
  void post(F body) {
    const std::lock_guard lock(mutex_);
    if (io_ != nullptr) boost::asio::post(*io_, std::move(body));
  }
  void close() {
    const std::lock_guard lock(mutex_);
    io_ = nullptr;
  }

 private:
  std::mutex mutex_;
  boost::asio::io_context* io_;
};

class WorkerPool {
 public:
  explicit WorkerPool(boost::asio::io_context& io, std::size_t threads = 2);
  /// stop().
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  /// Runs `work` on a thread of the pool, then `done` with its result on the loop. `work` touches
  /// nothing of the loop's, and owns what it touches.
  template <typename Work, typename Done>
  void run(Work work, Done done) {
    if (stopped_) return;
    using Answer = decltype(work());
    const std::uint64_t id = expect(std::make_unique<Then<Answer, Done>>(std::move(done)));
    enqueue(Task([this, door = door_, alive = std::weak_ptr<bool>(alive_), id,
                  work = std::move(work)]() mutable {
      door->post([this, alive = std::move(alive), id, result = work()]() mutable {
        if (!alive.expired()) finish(id, &result);
      });
    }));
  }
  /// Closes a descriptor whose close may take its time, as that of an inotify instance does.
  void close(sys::Fd fd) {
    if (!fd) return;
    run(
        [fd = std::move(fd)]() mutable {
          fd.reset();
          return true;
        },
        [](bool) {});
  }
  /// Waits for the tasks that run, but not for long; those that did not begin are dropped, and so
  /// are all results and whatever comes later. False: a task is held up, and its thread with it.
  bool stop();
  /// Tasks whose result has not arrived on the loop.
  [[nodiscard]] std::size_t pending() const { return expected_.size(); }
  /// For what tasks have to say beside their results.
  [[nodiscard]] std::shared_ptr<LoopDoor> door() const { return door_; }

 private:
  /// std::function wants copies; tasks and results may be move-only.
  class Task {
   public:
    template <typename F>
    explicit Task(F body) : body_(std::make_unique<Body<F>>(std::move(body))) {}
    void operator()() { body_->run(); }

   private:
    struct Base {
      virtual ~Base() = default;
      virtual void run() = 0;
    };
    template <typename F>
    struct Body final : Base {
      explicit Body(F f) : function(std::move(f)) {}
      void run() override { function(); }
      F function;
    };
    std::unique_ptr<Base> body_;
  };
  /// What is to be done with a result.
  struct AnyThen {
    virtual ~AnyThen() = default;
    virtual void run(void* result) = 0;
  };
  template <typename Answer, typename Done>
  struct Then final : AnyThen {
    explicit Then(Done done) : function(std::move(done)) {}
    void run(void* result) override { function(std::move(*static_cast<Answer*>(result))); }
    Done function;
  };
  struct Worker {
    std::thread thread;
    bool ended = false;
  };
  /// What the threads and the loop share, for as long as either is there.
  struct Shared {
    std::mutex mutex;
    std::condition_variable wake;
    std::condition_variable ended;
    std::deque<Task> queue;
    std::size_t idle = 0;
    bool stopping = false;
    std::uint64_t begun = 0;  ///< tasks that were taken from the queue
    std::list<Worker> workers;
  };

  std::uint64_t expect(std::unique_ptr<AnyThen> then);
  void finish(std::uint64_t id, void* result);
  void enqueue(Task task);
  static void work(const std::shared_ptr<Shared>& shared, Worker& self);
  /// False: there is none of them left to be had.
  bool add_thread();
  void watch_progress();

  std::size_t limit_;  ///< threads while all goes well
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::shared_ptr<LoopDoor> door_;
  std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
  // The loop's alone.
  std::unordered_map<std::uint64_t, std::unique_ptr<AnyThen>> expected_;
  std::uint64_t last_id_ = 0;
  bool stopped_ = false;
  bool all_ended_ = true;
  LoopTimer progress_;
  bool watching_progress_ = false;
};

}  // namespace pidward::runtime
