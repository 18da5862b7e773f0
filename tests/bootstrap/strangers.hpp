// Whoever connects to a meeting point and says what it likes, frame by frame.
#pragma once

#include <optional>
#include <span>

#include <poll.h>

#include "bootstrap/frame.hpp"
#include "bootstrap/join_key.hpp"
#include "bootstrap/meeting_id.hpp"
#include "bootstrap/socket.hpp"
#include "bootstrap/worlds.hpp"

namespace lockstep::test {

inline bool say(const Fd& socket, FrameType type, std::span<const std::byte> payload = {}) {
  return sendAll(socket, encodeFrame(type, payload), soon()) == IoStatus::done;
}

inline bool sayHello(const Fd& socket, const MeetingId& id, std::uint32_t rank,
                     std::uint32_t worldSize) {
  return say(socket, FrameType::hello, encodeHello({id.token, rank, worldSize}));
}

/// The next frame, or nothing if the connection ends.
inline std::optional<Frame> hearFrame(const Fd& socket) {
  FrameReader reader(~FrameTypes{0});
  while (!reader.complete()) {
    if (!waitFor(socket, POLLIN, soon())) return std::nullopt;
    const auto got = receiveNow(socket, reader.space());
    if (!got || !reader.received(*got)) return std::nullopt;
  }
  return reader.take();
}

inline std::optional<FrameType> hear(const Fd& socket) {
  const auto frame = hearFrame(socket);
  if (!frame) return std::nullopt;
  return frame->type;
}

inline bool isClosed(const Fd& socket) {
  return waitFor(socket, POLLIN, soon()) && !hear(socket);
}

/// One attempt at a keyed meeting point, with its challenge.
struct Attempt {
  explicit Attempt(const MeetingId& id) : socket(connectTcp(id.address, soon())) {
    const auto frame = hearFrame(socket);
    if (!frame || frame->type != FrameType::challenge) throw std::runtime_error("no challenge");
    challenge = decodeChallenge(frame->payload);
  }
  bool say(const KeyedHello& hello) const {
    return test::say(socket, FrameType::keyedHello, encodeKeyedHello(hello));
  }

  Fd socket;
  Nonce challenge;
};

/// What a rank that has `key` says to a challenge.
inline KeyedHello answerTo(const Nonce& challenge, const JoinKey& key, const Hello& hello) {
  const JoinAttempt attempt{challenge, hello, randomNonce()};
  return {hello, attempt.nonce, key.proofOfRank(attempt)};
}

}  // namespace lockstep::test
