#include "communicator/progress_thread.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace lockstep {

namespace {
// Rounds without a move: look again at once, later give the core away, then sleep between looks.
constexpr int kEager = 64, kPatient = 4096;
constexpr std::chrono::microseconds kNap{50};
}  // namespace

ProgressThread::ProgressThread(std::function<bool()> busy, std::function<bool()> round)
    : busy_(std::move(busy)), round_(std::move(round)), thread_([this] { run(); }) {}

ProgressThread::~ProgressThread() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void ProgressThread::run() {
  std::unique_lock lock(mutex_);
  for (int idle = 0; !stop_;) {
    if (!busy_()) {
      idle = 0;
      wake_.wait(lock, [this] { return stop_ || busy_(); });
      continue;
    }
    idle = round_() ? 0 : std::min(idle + 1, kPatient + 1);
    lock.unlock();  // whoever waits for the lock goes first
    if (idle > kPatient)
      std::this_thread::sleep_for(kNap);
    else if (idle > kEager)
      std::this_thread::yield();
    lock.lock();
  }
}

}  // namespace lockstep
