// A thread that keeps the operations of a communicator moving while its user does something else.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace lockstep {

class ProgressThread {
 public:
  /// While `busy()`, calls `round()`, which says whether anything moved; both with the lock held.
  ProgressThread(std::function<bool()> busy, std::function<bool()> round);
  ~ProgressThread();
  ProgressThread(const ProgressThread&) = delete;
  ProgressThread& operator=(const ProgressThread&) = delete;

  /// Keeps the thread out while the lock is held.
  std::unique_lock<std::mutex> keepOut() { return std::unique_lock(mutex_); }
  /// There is something to do. With the lock held.
  void wake() { wake_.notify_one(); }

 private:
  void run();
  std::function<bool()> busy_, round_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace lockstep
