// The line between a rank and the process that started the run: JSON documents, one per line, and
// one key.
//
//   rank -> parent  {"hello": rank}                       first of all
//   parent -> rank  the pre-shared key; it is no text, which would leave copies of it about
//   parent -> rank  {"config": {...}}
//   rank 0 -> parent, parent -> others  {"meeting": ["lockstep2:...", ...]}   one per mode
//   rank 0 -> parent  {"progress": {"done": 3, "total": 24, "text": "..."}}   also a sign of life
//   rank 0 -> parent  {"part": RunResult of one row}      after each, in case no other follows
//   rank -> parent  {"fault": "rank 1, element 17: ..."}
//   rank -> parent  {"error": {"code": "peer died", "message": "..."}}        last
//   rank -> parent  {"done": RunResult of rank 0, null of others}             last
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

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
  /// A key of at most 65535 bytes, or an empty one. Throws system when the other end is gone.
  void sendKey(std::span<const std::byte> key);
  /// The other end's sendKey, before any other message is received. The only copy: the caller wipes
  /// it. Throws as receive does.
  std::vector<std::byte> receiveKey(Deadline deadline);
  /// Waits for the next message. Throws bootstrap when the other end is gone, timeout at the
  /// deadline.
  nlohmann::json receive(Deadline deadline);
  /// Reads what there is without waiting; false at the end of the line.
  bool pump();
  /// The next whole message that was pumped.
  std::optional<nlohmann::json> next();

 private:
  void write(const void* data, std::size_t bytes);
  void readExactly(void* data, std::size_t bytes, Deadline deadline);
  void await(Deadline deadline) const;

  Fd fd_;
  std::string received_;
  std::size_t searched_ = 0;  ///< bytes of `received_` known to have no line end
};

}  // namespace lockstep::bench
