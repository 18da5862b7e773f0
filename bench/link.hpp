// The line between a rank and the process that started the run: JSON documents, one per line.
//
//   rank -> parent  {"hello": rank}                       first of all
//   parent -> rank  {"config": {...}, "psk": "hex"}
//   rank 0 -> parent, parent -> others  {"meeting": ["lockstep1:...", ...]}   one per mode
//   rank 0 -> parent  {"progress": {"done": 3, "total": 24, "text": "..."}}   also a sign of life
//   rank -> parent  {"fault": "rank 1, element 17: ..."}
//   rank -> parent  {"error": {"code": "peer died", "message": "..."}}        last
//   rank -> parent  {"done": RunResult of rank 0, null of others}             last
#pragma once

#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "base/clock.hpp"
#include "base/fd.hpp"

namespace lockstep::bench {

class Link {
 public:
  /// Takes a connected stream socket.
  explicit Link(Fd fd) : fd_(std::move(fd)) {}
  int fd() const { return fd_.get(); }
  /// Throws system when the other end is gone.
  void send(const nlohmann::json& message);
  /// Waits for the next message. Throws bootstrap when the other end is gone, timeout at the
  /// deadline.
  nlohmann::json receive(Deadline deadline);
  /// Reads what there is without waiting; false at the end of the line.
  bool pump();
  /// The next whole message that was pumped.
  std::optional<nlohmann::json> next();

 private:
  Fd fd_;
  std::string received_;
  std::size_t searched_ = 0;  ///< bytes of `received_` known to have no line end
};

}  // namespace lockstep::bench
