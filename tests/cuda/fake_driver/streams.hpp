// Streams: what is submitted to one happens in order, on a thread of its own.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "cuda/fake_driver/contexts.hpp"

namespace lockstep::cuda::fake {

using Work = std::function<void()>;

/// The work of one stream. Its thread keeps it alive until all is done, so a stream can be
/// destroyed before.
class Queue : public std::enable_shared_from_this<Queue> {
 public:
  /// A place in a queue: the work there and all before it.
  struct Place {
    std::shared_ptr<Queue> queue;  ///< nullptr: nothing to wait for
    std::uint64_t number = 0;

    bool reached() const;
    void wait() const;
  };

  /// Does `work` once all before it and all that is at `after` is done.
  Place push(Work work, std::vector<Place> after = {});
  Place last();
  /// No more comes.
  void close();

 private:
  struct Item {
    Work work;
    std::vector<Place> after;
  };
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Item> items_;
  std::uint64_t pushed_ = 0, done_ = 0;
  bool started_ = false, closed_ = false;
};

struct Capture;

class Stream {
 public:
  Stream(std::shared_ptr<Context> of, bool isBlocking)
      : context(std::move(of)), blocking(isBlocking) {}

  const std::shared_ptr<Context> context;
  const bool blocking;  ///< the default stream waits for it, and it for the default stream
  const std::shared_ptr<Queue> queue = std::make_shared<Queue>();
  std::shared_ptr<Capture> capture;  ///< under the lock of captures.cpp
};

/// nullptr: the default stream of the current context. Throws invalidHandle, contextIsDestroyed.
std::shared_ptr<Stream> find(StreamHandle handle);
/// To the stream, or to the graph that is captured from it.
Queue::Place submit(const std::shared_ptr<Stream>& stream, Work work);
/// Without capture, after `after` too.
Queue::Place enqueue(const std::shared_ptr<Stream>& stream, Work work,
                     std::vector<Queue::Place> after = {});
/// Waits for all that is in any stream of the context.
void synchronize(Context& context);
std::size_t streamsAlive();

/// Throws streamCaptureUnsupported, and spoils the capture, where one is under way that forbids
/// calls that a graph cannot hold: one of mode global, or one of mode threadLocal by this thread.
void refuseInCapture();

}  // namespace lockstep::cuda::fake
