#include "executor/cuda/in_parallel.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "base/signals_blocked.hpp"

namespace lockstep::cuda {

namespace {

/// What the threads share.
class Work {
 public:
  Work(std::size_t count, const std::function<void(std::size_t)>& body)
      : count_(count), body_(body), failed_(count) {}

  void run() {
    // Whatever number is taken is done: all below one that fails, so that the lowest is known.
    while (!stop_) {
      const std::size_t i = next_++;
      if (i >= count_) return;
      attempt(i);
    }
  }

  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  void attempt(std::size_t i) {
    try {
      body_(i);
    } catch (...) {
      record(i, std::current_exception());
    }
  }

  void record(std::size_t i, std::exception_ptr error) {
    stop_ = true;
    const std::lock_guard lock(mutex_);
    if (i >= failed_) return;
    failed_ = i;
    error_ = std::move(error);
  }

  const std::size_t count_;
  const std::function<void(std::size_t)>& body_;
  std::atomic<std::size_t> next_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::size_t failed_;  ///< the lowest that did; count_: none
  std::exception_ptr error_;
};

std::size_t threadsFor(std::size_t count, int threads) {
  const auto wanted = threads > 0 ? static_cast<unsigned>(threads)
                                  : std::clamp(std::thread::hardware_concurrency(), 1u, 16u);
  return std::min<std::size_t>(count, wanted);
}

}  // namespace

void inParallel(std::size_t count, int threads, const std::function<void(std::size_t)>& body) {
  Work work(count, body);
  {
    std::vector<std::jthread> helpers;
    try {
      const SignalsBlocked blocked;
      while (helpers.size() + 1 < threadsFor(count, threads))
        helpers.emplace_back([&work] { work.run(); });
    } catch (const std::system_error&) {  // as many as there are
    }
    work.run();
  }
  work.rethrow();
}

}  // namespace lockstep::cuda
