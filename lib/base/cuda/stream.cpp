#include "base/cuda/stream.hpp"

#include "base/fail.hpp"

namespace lockstep::cuda {

namespace {

/// Of a query: whether it is over. Throws what else it says.
template <class... Args>
bool over(Result result, fmt::format_string<Args...> tried, Args&&... args) {
  if (result == Result::notReady) return false;
  check(result, tried, std::forward<Args>(args)...);
  return true;
}

}  // namespace

Event Event::create(const PrimaryContext& context, Timing timing) {
  const Current current(context);
  EventHandle handle = nullptr;
  check(driver().eventCreate(&handle, timing == Timing::on ? kEventDefault : kEventDisableTiming),
        "make an event on GPU {}", context.device());
  return Event({context, handle});
}

void Event::record(StreamHandle stream) const {
  const Current current(event_.context());
  check(driver().eventRecord(handle(), stream), "record an event");
}

bool Event::reached() const {
  const Current current(event_.context());
  return over(driver().eventQuery(handle()), "ask for an event");
}

void Event::synchronize() const {
  const Current current(event_.context());
  check(driver().eventSynchronize(handle()), "wait for an event");
}

double Event::microsecondsSince(const Event& start) const {
  const Current current(event_.context());
  float milliseconds = 0;
  check(driver().eventElapsedTime(&milliseconds, start.handle(), handle()),
        "take the time between events");
  return 1e3 * static_cast<double>(milliseconds);
}

Stream Stream::create(const PrimaryContext& context) {
  const Current current(context);
  StreamHandle handle = nullptr;
  check(driver().streamCreate(&handle, kStreamNonBlocking), "make a stream on GPU {}",
        context.device());
  return Stream({context, handle});
}

void Stream::synchronize() const {
  const Current current(stream_.context());
  check(driver().streamSynchronize(handle()), "finish what is in a stream of GPU {}",
        stream_.context().device());
}

bool Stream::idle() const {
  return cuda::idle(stream_.context(), handle());
}

void Stream::wait(const Event& event) const {
  const Current current(stream_.context());
  check(driver().streamWaitEvent(handle(), event.handle(), 0), "let a stream wait for an event");
}

bool idle(const PrimaryContext& context, StreamHandle stream) {
  const Current current(context);
  return over(driver().streamQuery(stream), "finish what is in a stream of GPU {}",
              context.device());
}

bool isCapturing(const PrimaryContext& context, StreamHandle stream) {
  const Current current(context);
  CaptureStatus status = CaptureStatus::none;
  check(driver().streamIsCapturing(stream, &status), "ask whether a stream is under capture");
  return status != CaptureStatus::none;
}

Graph Graph::capture(const PrimaryContext& context, StreamHandle stream,
                     const std::function<void()>& work) {
  const Current current(context);
  // Of this thread's calls only: other ranks of this process go on.
  check(driver().streamBeginCapture(stream, CaptureMode::threadLocal), "capture a stream");
  GraphHandle handle = nullptr;
  try {
    work();
  } catch (...) {
    driver().streamEndCapture(stream, &handle);
    const Graph dropped({context, handle});
    throw;
  }
  check(driver().streamEndCapture(stream, &handle), "end the capture of a stream");
  return Graph({context, handle});
}

GraphExec GraphExec::instantiate(const Graph& graph) {
  const Current current(graph.context());
  GraphExecHandle handle = nullptr;
  check(driver().graphInstantiate(&handle, graph.handle(), 0), "make a graph ready to run");
  return GraphExec({graph.context(), handle});
}

void GraphExec::launch(StreamHandle stream) const {
  const Current current(exec_.context());
  check(driver().graphLaunch(exec_.get(), stream), "launch a graph");
}

}  // namespace lockstep::cuda
