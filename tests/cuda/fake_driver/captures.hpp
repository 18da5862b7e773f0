// What is captured from streams, and the graphs that come of it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "cuda/fake_driver/streams.hpp"

namespace lockstep::cuda::fake {

/// Work, and which of the nodes before it must be done first.
struct Node {
  Work work;
  std::vector<std::size_t> after;
};

struct Graph {
  std::vector<Node> nodes;
  /// Branches run side by side.
  void run() const;
};

/// One that is under way.
struct Capture {
  Graph graph;
  CaptureMode mode = CaptureMode::global;
  std::thread::id owner;
  bool spoilt = false;
  const Stream* origin = nullptr;
  /// The streams that take part, and what their next node comes after.
  std::map<std::shared_ptr<Stream>, std::vector<std::size_t>> streams;
};

/// Where an event lies that was recorded in a capture.
struct CapturedPlace {
  std::weak_ptr<Capture> capture;
  std::vector<std::size_t> after;
};

/// False: the stream is not captured from. Throws where its capture is spoilt.
bool captured(const std::shared_ptr<Stream>& stream, Work work);
/// As above; nullopt.
std::optional<CapturedPlace> placeInCapture(const std::shared_ptr<Stream>& stream);
/// Makes the stream part of the capture, or wait for another part of it.
void joinCapture(const std::shared_ptr<Stream>& stream, const CapturedPlace& place);

/// These spoil a capture and throw, where there is one.
void refuseIfCapturing(const Stream& stream, Result why = Result::streamCaptureUnsupported);
void refuseImplicit(const Stream& stream, bool isDefault);
/// Of a stream that is destroyed.
void leaveCapture(const Stream& stream);

std::size_t graphsAlive();

}  // namespace lockstep::cuda::fake
