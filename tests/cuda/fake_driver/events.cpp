#include "cuda/fake_driver/events.hpp"

#include <atomic>
#include <chrono>

#include "cuda/fake_driver/api.hpp"
#include "cuda/fake_driver/captures.hpp"

namespace lockstep::cuda::fake {
namespace {

using Clock = std::chrono::steady_clock;
using Time = std::atomic<Clock::time_point>;

/// Where an event was recorded last.
struct Recorded {
  Queue::Place place;
  std::shared_ptr<Time> time;             ///< nullptr: never
  std::optional<CapturedPlace> captured;  ///< it is part of a graph, and no event
};

struct Event {
  std::shared_ptr<Context> context;
  bool timed = true;
  std::mutex mutex;
  Recorded recorded;
};

Table<EventHandle, Event>& events() {
  static auto* const all = new Table<EventHandle, Event>(5);
  return *all;
}

Recorded recordedOf(EventHandle handle) {
  const auto event = events().get(handle);
  requireAlive(*event->context);
  const std::lock_guard lock(event->mutex);
  return event->recorded;
}

/// Of one that the host can look at.
Recorded visible(EventHandle handle) {
  Recorded recorded = recordedOf(handle);
  require(!recorded.captured, kCapturedEvent);
  return recorded;
}

Clock::time_point timeOf(EventHandle handle) {
  const Recorded recorded = visible(handle);
  require(events().get(handle)->timed && recorded.time != nullptr, Result::invalidHandle);
  require(recorded.place.reached(), Result::notReady);
  return recorded.time->load();
}

}  // namespace

std::size_t eventsAlive() {
  return events().size();
}

void eventCreate(EventHandle* handle, unsigned flags) {
  constexpr unsigned kBlockingSync = 1;
  require(handle != nullptr && (flags & ~(kEventDisableTiming | kBlockingSync)) == 0);
  auto event = std::make_shared<Event>();
  event->context = currentContext();
  event->timed = (flags & kEventDisableTiming) == 0;
  *handle = events().add(std::move(event));
}

void eventDestroy(EventHandle handle) {
  events().take(handle);
}

void eventRecord(EventHandle handle, StreamHandle streamHandle) {
  const auto event = events().get(handle);
  const auto stream = find(streamHandle);
  require(event->context == stream->context, Result::invalidHandle);
  const std::lock_guard lock(event->mutex);
  if (auto place = placeInCapture(stream)) {
    event->recorded = {{}, nullptr, std::move(place)};
    return;
  }
  auto time = std::make_shared<Time>();
  const auto place = submit(stream, [time] { time->store(Clock::now()); });
  event->recorded = {place, time, std::nullopt};
}

void eventQuery(EventHandle handle) {
  require(visible(handle).place.reached(), Result::notReady);
}

void eventSynchronize(EventHandle handle) {
  visible(handle).place.wait();
}

void eventElapsedTime(float* milliseconds, EventHandle from, EventHandle to) {
  require(milliseconds != nullptr);
  const auto elapsed = timeOf(to) - timeOf(from);
  *milliseconds = std::chrono::duration<float, std::milli>(elapsed).count();
}

void streamWaitEvent(StreamHandle streamHandle, EventHandle handle, unsigned flags) {
  require(flags == 0);
  const auto stream = find(streamHandle);
  const Recorded recorded = recordedOf(handle);
  if (recorded.captured) return joinCapture(stream, *recorded.captured);
  if (recorded.place.queue == nullptr) return;
  refuseIfCapturing(*stream, kCaptureIsolation);
  enqueue(stream, [] {}, {recorded.place});
}

}  // namespace lockstep::cuda::fake
