// What travels between a rank and the meeting point: frames of a fixed header and a bounded
// payload. Integers are in the machine's byte order: the ranks of a communicator share one host.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/hkdf.hpp"
#include "bootstrap/rank_set.hpp"
#include "bootstrap/token.hpp"
#include <lockstep/error.hpp>

namespace lockstep {

using Bytes = std::vector<std::byte>;

/// Bytes that one rank may give to an all-gather.
inline constexpr std::size_t kMaxContribution = std::size_t{1} << 20;

enum class FrameType : std::uint32_t {
  hello,       ///< rank to relay: a Hello
  welcome,     ///< relay to rank: every rank of the world has come; keyed: its proof, else empty
  gather,      ///< rank to relay: its contribution to the next all-gather
  result,      ///< relay to rank: every rank's contribution (encodeResult)
  giveUp,      ///< rank to relay: my deadline has passed, what is missing? Empty
  missing,     ///< relay to rank: someone gave up waiting; a Missing
  error,       ///< relay to rank: a Failure
  challenge,   ///< keyed relay to whoever connects: a Nonce
  keyedHello,  ///< rank to keyed relay: a KeyedHello
};
inline constexpr std::size_t kFrameTypes = 9;

/// The most bytes a frame of this type may carry.
std::size_t maxPayload(FrameType type);

/// Which frames are acceptable, one bit for each type.
using FrameTypes = std::uint32_t;
template <class... Type>
constexpr FrameTypes only(Type... type) {
  return ((1u << static_cast<unsigned>(type)) | ... | 0u);
}

struct FrameHeader {
  std::uint32_t magic;
  FrameType type;
  std::uint32_t length;  ///< bytes of payload
};
inline constexpr std::uint32_t kFrameMagic = 0x32534b4c;  // "LKS2": protocol version 2

struct Frame {
  FrameType type;
  Bytes payload;
};

/// Header and payload, ready to be sent. The payload must be within maxPayload.
Bytes encodeFrame(FrameType type, std::span<const std::byte> payload = {});

/// Puts one frame after another together from however the bytes arrive. It never asks for a byte
/// beyond the frame it is in, and never allocates before the header has passed every check.
class FrameReader {
 public:
  explicit FrameReader(FrameTypes allowed) : allowed_(allowed) {}

  /// Which types the next frame may have.
  void allow(FrameTypes allowed) { allowed_ = allowed; }
  /// Where the next bytes go: never empty, unless complete().
  std::span<std::byte> space();
  /// `n` bytes of space() were filled. False: this is no frame that is allowed; read no further.
  [[nodiscard]] bool received(std::size_t n);
  bool complete() const;
  /// The complete frame; starts the next one.
  Frame take();

 private:
  bool headerIsFine() const;

  FrameTypes allowed_;
  FrameHeader header_{};
  std::size_t filled_ = 0;  ///< of header and payload together
  Bytes payload_;
};

/// What a rank says first.
struct Hello {
  Token token;
  std::uint32_t rank;
  std::uint32_t worldSize;
};

/// What a rank says first at a keyed meeting point (join_key.hpp).
struct KeyedHello {
  Hello hello;
  Nonce nonce{};
  Hash proof{};
};

/// Who did not come to a meeting or an all-gather, and who came to the meeting more than once.
struct Missing {
  RankSet ranks = 0;
  RankSet twice = 0;
};

/// What the relay says to a rank that cannot go on. Nobody vouches for it.
struct Failure {
  ErrorCode code;
  int rank;  ///< to blame, or -1
  std::string text;
};

// Payloads. The decoders throw bootstrap on anything their encoder could not have written.
Bytes encodeHello(const Hello& hello);
Hello decodeHello(std::span<const std::byte> payload);
Bytes encodeKeyedHello(const KeyedHello& hello);
KeyedHello decodeKeyedHello(std::span<const std::byte> payload);
Bytes encodeChallenge(const Nonce& challenge);
Nonce decodeChallenge(std::span<const std::byte> payload);
Bytes encodeMissing(const Missing& missing);
Missing decodeMissing(std::span<const std::byte> payload);
/// The text is cut at 512 bytes.
Bytes encodeFailure(const Failure& failure);
Failure decodeFailure(std::span<const std::byte> payload);
/// For every rank its length (4 bytes), then its bytes.
Bytes encodeResult(std::span<const Bytes> contributions);
std::vector<Bytes> decodeResult(std::span<const std::byte> payload, int worldSize);

}  // namespace lockstep
