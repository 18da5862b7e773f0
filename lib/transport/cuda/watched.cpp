#include "transport/cuda/watched.hpp"

#include <future>
#include <thread>
#include <utility>

namespace lockstep::cuda {

bool watched(std::function<void()> step, Deadline deadline) {
  std::packaged_task<void()> task(std::move(step));
  std::future<void> outcome = task.get_future();
  std::thread thread(std::move(task));
  if (outcome.wait_until(deadline.at()) != std::future_status::ready) {
    thread.detach();
    return false;
  }
  thread.join();  // not detached: it has let go of what `step` holds when this returns
  outcome.get();
  return true;
}

}  // namespace lockstep::cuda
