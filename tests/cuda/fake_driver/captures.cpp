#include "cuda/fake_driver/captures.hpp"

#include <algorithm>
#include <future>
#include <set>

#include "cuda/fake_driver/api.hpp"
#include "cuda/fake_driver/crew.hpp"

namespace lockstep::cuda::fake {
namespace {

struct GraphExec {
  std::shared_ptr<const Graph> graph;
  std::mutex mutex;
  Queue::Place last;  ///< it does not run beside itself
};

struct Captures {
  std::mutex mutex;
  std::vector<std::shared_ptr<Capture>> active;
  Table<GraphHandle, Graph> graphs{3, Result::invalidValue};
  Table<GraphExecHandle, GraphExec> executables{4, Result::invalidValue};
};

Captures& captures() {
  static auto* const all = new Captures;
  return *all;
}

/// Of the stream, which must be in one that is sound.
Capture& soundCapture(const Stream& stream) {
  require(!stream.capture->spoilt, Result::streamCaptureInvalidated);
  return *stream.capture;
}

void end(const std::shared_ptr<Capture>& capture) {
  std::erase(captures().active, capture);
  for (const auto& entry : std::exchange(capture->streams, {})) entry.first->capture = nullptr;
}

/// Every branch must come back to the stream that the capture began with.
bool isJoined(const Capture& capture) {
  std::set<std::size_t> reached;
  std::vector<std::size_t> next;
  for (const auto& [stream, after] : capture.streams)
    if (stream.get() == capture.origin) next = after;
  while (!next.empty()) {
    const std::size_t node = next.back();
    next.pop_back();
    if (!reached.insert(node).second) continue;
    for (const std::size_t before : capture.graph.nodes[node].after) next.push_back(before);
  }
  return reached.size() == capture.graph.nodes.size();
}

bool isLinear(const std::vector<Node>& nodes) {
  for (std::size_t i = 0; i < nodes.size(); ++i)
    if (i > 0 && std::ranges::find(nodes[i].after, i - 1) == nodes[i].after.end()) return false;
  return true;
}

void runBranches(const std::vector<Node>& nodes) {
  std::vector<std::promise<void>> promises(nodes.size());
  std::vector<std::shared_future<void>> done;
  for (auto& promise : promises) done.push_back(promise.get_future().share());
  playTogether(nodes.size(), [&](std::size_t i) {
    for (const std::size_t before : nodes[i].after) done[before].wait();
    nodes[i].work();
    promises[i].set_value();
  });
}

}  // namespace

void Graph::run() const {
  if (!isLinear(nodes)) return runBranches(nodes);
  for (const Node& node : nodes) node.work();
}

bool captured(const std::shared_ptr<Stream>& stream, Work work) {
  const std::lock_guard lock(captures().mutex);
  if (stream->capture == nullptr) return false;
  Capture& capture = soundCapture(*stream);
  std::vector<std::size_t>& after = capture.streams.at(stream);
  capture.graph.nodes.push_back({std::move(work), after});
  after = {capture.graph.nodes.size() - 1};
  return true;
}

std::optional<CapturedPlace> placeInCapture(const std::shared_ptr<Stream>& stream) {
  const std::lock_guard lock(captures().mutex);
  if (stream->capture == nullptr) return std::nullopt;
  return CapturedPlace{stream->capture, soundCapture(*stream).streams.at(stream)};
}

void joinCapture(const std::shared_ptr<Stream>& stream, const CapturedPlace& place) {
  const std::lock_guard lock(captures().mutex);
  const auto capture = place.capture.lock();
  require(capture != nullptr && !capture->streams.empty());  // it is not over
  require(stream->capture == nullptr || stream->capture == capture, kCaptureMerge);
  stream->capture = capture;
  std::vector<std::size_t>& after = capture->streams[stream];
  after.insert(after.end(), place.after.begin(), place.after.end());
}

void refuseIfCapturing(const Stream& stream, Result why) {
  const std::lock_guard lock(captures().mutex);
  if (stream.capture == nullptr) return;
  stream.capture->spoilt = true;
  refuse(why);
}

void refuseImplicit(const Stream& stream, bool isDefault) {
  if (!isDefault) return;
  const std::lock_guard lock(captures().mutex);
  for (const auto& capture : captures().active)
    for (const auto& entry : capture->streams)
      if (entry.first->blocking && entry.first->context == stream.context) {
        capture->spoilt = true;
        refuse(Result::streamCaptureImplicit);
      }
}

void refuseInCapture() {
  const std::lock_guard lock(captures().mutex);
  for (const auto& capture : captures().active)
    if (capture->mode == CaptureMode::global || (capture->mode == CaptureMode::threadLocal &&
                                                 capture->owner == std::this_thread::get_id())) {
      capture->spoilt = true;
      refuse(Result::streamCaptureUnsupported);
    }
}

void leaveCapture(const Stream& stream) {
  const std::lock_guard lock(captures().mutex);
  const auto capture = stream.capture;
  if (capture == nullptr) return;
  capture->spoilt = true;
  if (capture->origin == &stream) end(capture);
}

std::size_t graphsAlive() {
  return captures().graphs.size() + captures().executables.size();
}

void streamBeginCapture(StreamHandle handle, CaptureMode mode) {
  require(handle != nullptr, Result::streamCaptureUnsupported);
  const auto stream = find(handle);
  const std::lock_guard lock(captures().mutex);
  require(stream->capture == nullptr, Result::illegalState);
  auto capture = std::make_shared<Capture>();
  capture->mode = mode;
  capture->owner = std::this_thread::get_id();
  capture->origin = stream.get();
  capture->streams[stream];
  captures().active.push_back(capture);
  stream->capture = std::move(capture);
}

void streamEndCapture(StreamHandle handle, GraphHandle* graph) {
  require(graph != nullptr);
  *graph = nullptr;
  const auto stream = find(handle);
  const std::lock_guard lock(captures().mutex);
  const auto capture = stream->capture;
  require(capture != nullptr, Result::illegalState);
  require(capture->origin == stream.get(), Result::streamCaptureUnmatched);
  require(capture->mode == CaptureMode::relaxed || capture->owner == std::this_thread::get_id(),
          kCaptureWrongThread);
  const bool joined = isJoined(*capture);
  end(capture);
  require(!capture->spoilt, Result::streamCaptureInvalidated);
  require(joined, kCaptureUnjoined);
  *graph = captures().graphs.add(std::make_shared<Graph>(std::move(capture->graph)));
}

void streamIsCapturing(StreamHandle handle, CaptureStatus* status) {
  require(status != nullptr);
  const auto stream = find(handle);
  const std::lock_guard lock(captures().mutex);
  *status = stream->capture == nullptr ? CaptureStatus::none
            : stream->capture->spoilt  ? CaptureStatus::invalidated
                                       : CaptureStatus::active;
}

void graphInstantiate(GraphExecHandle* executable, GraphHandle graph, unsigned long long flags) {
  require(executable != nullptr && flags == 0);
  auto made = std::make_shared<GraphExec>();
  made->graph = captures().graphs.get(graph);
  *executable = captures().executables.add(std::move(made));
}

void graphLaunch(GraphExecHandle handle, StreamHandle streamHandle) {
  const auto executable = captures().executables.get(handle);
  const auto stream = find(streamHandle);
  const Work work = [graph = executable->graph] { graph->run(); };
  if (captured(stream, work)) return;
  const std::lock_guard lock(executable->mutex);
  executable->last = enqueue(stream, work, {executable->last});
}

void graphExecDestroy(GraphExecHandle handle) {
  captures().executables.take(handle);
}

void graphDestroy(GraphHandle handle) {
  captures().graphs.take(handle);
}

}  // namespace lockstep::cuda::fake
