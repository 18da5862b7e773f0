#include "cuda/fake_driver/crew.hpp"

#include <condition_variable>
#include <deque>
#include <latch>
#include <mutex>
#include <thread>

namespace lockstep::cuda::fake {
namespace {

class Crew {
 public:
  void add(std::function<void()> work) {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(work));
    if (waiting_.size() > free_) {
      std::thread([this] { serve(); }).detach();
      ++free_;
    }
    changed_.notify_one();
  }

 private:
  void serve() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return !waiting_.empty(); });
      const auto work = std::move(waiting_.front());
      waiting_.pop_front();
      --free_;
      lock.unlock();
      work();
      lock.lock();
      ++free_;
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> waiting_;
  std::size_t free_ = 0;  ///< threads that play nothing; never fewer than wait
};

Crew& crew() {
  static auto* const all = new Crew;
  return *all;
}

}  // namespace

void playTogether(std::size_t count, const std::function<void(std::size_t)>& work) noexcept {
  std::latch done(static_cast<std::ptrdiff_t>(count));
  for (std::size_t i = 0; i < count; ++i)
    crew().add([&, i] {
      work(i);
      done.count_down();
    });
  done.wait();
}

}  // namespace lockstep::cuda::fake
