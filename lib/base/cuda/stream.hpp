// Owners of streams, events and graphs. Functions that take a StreamHandle take anyone's stream of
// the same device, the default stream (nullptr) too.
#pragma once

#include <functional>

#include "base/cuda/context.hpp"

namespace lockstep::cuda {

class Event {
 public:
  enum class Timing : bool { off, on };
  Event() = default;
  static Event create(const PrimaryContext& context, Timing timing = Timing::off);

  EventHandle handle() const noexcept { return event_.get(); }
  /// At the end of what is in `stream` now.
  void record(StreamHandle stream) const;
  /// Whether what was recorded has been reached; true before the first record().
  bool reached() const;
  /// Waits, without a bound, until it has been.
  void synchronize() const;
  /// Microseconds from `start` to this one. Both were made with Timing::on and have been reached.
  double microsecondsSince(const Event& start) const;

 private:
  explicit Event(Owned<EventHandle, &Driver::eventDestroy> event) : event_(std::move(event)) {}
  Owned<EventHandle, &Driver::eventDestroy> event_;
};

/// One that does not wait for the default stream.
class Stream {
 public:
  Stream() = default;
  static Stream create(const PrimaryContext& context);

  StreamHandle handle() const noexcept { return stream_.get(); }
  /// Waits, without a bound, until it is empty. Throws what a kernel died of: system.
  void synchronize() const;
  /// Whether it is empty. Throws as synchronize() does.
  bool idle() const;
  /// What is put in later starts after `event`.
  void wait(const Event& event) const;

 private:
  explicit Stream(Owned<StreamHandle, &Driver::streamDestroy> stream)
      : stream_(std::move(stream)) {}
  Owned<StreamHandle, &Driver::streamDestroy> stream_;
};

/// Whether a stream of `context` is empty, for one that is not ours. Throws what a kernel died of.
bool idle(const PrimaryContext& context, StreamHandle stream);
/// Whether what is put into it now goes into a graph.
bool isCapturing(const PrimaryContext& context, StreamHandle stream);

/// What was put into a stream, to be run many times.
class Graph {
 public:
  Graph() = default;
  /// What `work` puts into `stream`, which runs none of it. Where `work` throws, the capture is
  /// ended and the exception goes on.
  static Graph capture(const PrimaryContext& context, StreamHandle stream,
                       const std::function<void()>& work);

  GraphHandle handle() const noexcept { return graph_.get(); }
  const PrimaryContext& context() const noexcept { return graph_.context(); }

 private:
  explicit Graph(Owned<GraphHandle, &Driver::graphDestroy> graph) : graph_(std::move(graph)) {}
  Owned<GraphHandle, &Driver::graphDestroy> graph_;
};

/// A graph ready to run. Does not need the graph any more.
class GraphExec {
 public:
  GraphExec() = default;
  static GraphExec instantiate(const Graph& graph);

  void launch(StreamHandle stream) const;

 private:
  explicit GraphExec(Owned<GraphExecHandle, &Driver::graphExecDestroy> exec)
      : exec_(std::move(exec)) {}
  Owned<GraphExecHandle, &Driver::graphExecDestroy> exec_;
};

}  // namespace lockstep::cuda
