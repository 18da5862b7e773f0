// Arbitrary bytes against everything that reads what came from a socket: the body of the libFuzzer
// target, and of the ordinary test that runs it on seeded bytes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>

#include "bootstrap/frame.hpp"
#include "bootstrap/meeting_id.hpp"
#include <lockstep/error.hpp>

namespace lockstep::fuzz {

inline void require(bool law) {
  if (!law) std::abort();
}

inline bool same(const Bytes& a, std::span<const std::byte> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

/// A payload decodes to what encodes to it, or is refused.
inline void decodeFrame(const Frame& frame, int worldSize) {
  const std::span<const std::byte> payload = frame.payload;
  try {
    switch (frame.type) {
      case FrameType::hello:
        require(same(encodeHello(decodeHello(payload)), payload));
        break;
      case FrameType::keyedHello:
        require(same(encodeKeyedHello(decodeKeyedHello(payload)), payload));
        break;
      case FrameType::challenge:
        require(same(encodeChallenge(decodeChallenge(payload)), payload));
        break;
      case FrameType::missing:
        require(same(encodeMissing(decodeMissing(payload)), payload));
        break;
      case FrameType::error:
        require(same(encodeFailure(decodeFailure(payload)), payload));
        break;
      case FrameType::result:
        require(same(encodeResult(decodeResult(payload, worldSize)), payload));
        break;
      case FrameType::welcome:
      case FrameType::gather:
      case FrameType::giveUp:
        break;
    }
  } catch (const Error& e) {
    require(e.code() == ErrorCode::bootstrap);
  }
}

/// The first bytes choose the allowed types, the size of the pieces, and the world.
inline void bootstrapFrames(std::span<const std::byte> input) {
  if (input.size() < 4) return;
  const auto allowed = std::to_integer<FrameTypes>(input[0]) | std::to_integer<FrameTypes>(input[1])
                                                                   << 8;
  const std::size_t piece = 1 + std::to_integer<std::size_t>(input[2]);
  const int worldSize = 1 + std::to_integer<int>(input[3]) % kMaxWorld;
  input = input.subspan(4);

  try {
    const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
    require(MeetingId::parse(text).text() == text);
  } catch (const Error& e) {
    require(e.code() == ErrorCode::invalidArgument);
  }

  FrameReader reader(allowed);
  while (!input.empty()) {
    const auto space = reader.space();
    require(!space.empty());
    const std::size_t n = std::min({space.size(), piece, input.size()});
    std::copy_n(input.begin(), n, space.begin());
    input = input.subspan(n);
    if (!reader.received(n)) return;
    if (!reader.complete()) continue;
    const Frame frame = reader.take();
    require((allowed & only(frame.type)) != 0 && frame.payload.size() <= maxPayload(frame.type));
    decodeFrame(frame, worldSize);
  }
}

}  // namespace lockstep::fuzz
