#include "bootstrap/frame.hpp"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "base/fail.hpp"

namespace lockstep {

namespace {

constexpr std::size_t kMaxFailureText = 512;

struct FailureHead {
  std::uint32_t code;
  std::int32_t rank;
};

[[noreturn]] void failMalformed(const char* what) {
  fail(ErrorCode::bootstrap,
       "the meeting point sent a malformed {}; do all ranks run the same version of Lockstep?",
       what);
}

template <class T>
void append(Bytes& to, const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  const auto bytes = std::as_bytes(std::span(&value, 1));
  to.insert(to.end(), bytes.begin(), bytes.end());
}

/// Takes a T off the front of `from`.
template <class T>
T takeFront(std::span<const std::byte>& from, const char* what) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (from.size() < sizeof(T)) failMalformed(what);
  T value;
  std::memcpy(&value, from.data(), sizeof value);
  from = from.subspan(sizeof value);
  return value;
}

template <class T>
Bytes encodeExactly(const T& value) {
  Bytes bytes;
  append(bytes, value);
  return bytes;
}

template <class T>
T decodeExactly(std::span<const std::byte> payload, const char* what) {
  const T value = takeFront<T>(payload, what);
  if (!payload.empty()) failMalformed(what);
  return value;
}

}  // namespace

std::size_t maxPayload(FrameType type) {
  switch (type) {
    case FrameType::hello:
      return sizeof(Hello);
    case FrameType::gather:
      return kMaxContribution;
    case FrameType::result:
      return kMaxWorld * (sizeof(std::uint32_t) + kMaxContribution);
    case FrameType::missing:
      return sizeof(Missing);
    case FrameType::error:
      return sizeof(FailureHead) + kMaxFailureText;
    case FrameType::challenge:
      return sizeof(Nonce);
    case FrameType::keyedHello:
      return sizeof(KeyedHello);
    case FrameType::welcome:
      return sizeof(Hash);
    case FrameType::giveUp:
      break;
  }
  return 0;
}

Bytes encodeFrame(FrameType type, std::span<const std::byte> payload) {
  Bytes frame;
  frame.reserve(sizeof(FrameHeader) + payload.size());
  append(frame, FrameHeader{kFrameMagic, type, static_cast<std::uint32_t>(payload.size())});
  frame.insert(frame.end(), payload.begin(), payload.end());
  return frame;
}

std::span<std::byte> FrameReader::space() {
  if (filled_ < sizeof header_)
    return std::as_writable_bytes(std::span(&header_, 1)).subspan(filled_);
  return std::span(payload_).subspan(filled_ - sizeof header_);
}

bool FrameReader::received(std::size_t n) {
  const bool inHeader = filled_ < sizeof header_;
  filled_ += n;
  if (!inHeader || filled_ < sizeof header_) return true;
  if (!headerIsFine()) return false;
  payload_.resize(header_.length);
  return true;
}

bool FrameReader::complete() const {
  return filled_ >= sizeof header_ && filled_ == sizeof header_ + payload_.size();
}

Frame FrameReader::take() {
  filled_ = 0;
  return {header_.type, std::exchange(payload_, {})};
}

bool FrameReader::headerIsFine() const {
  return header_.magic == kFrameMagic && static_cast<std::uint32_t>(header_.type) < kFrameTypes &&
         (allowed_ & only(header_.type)) != 0 && header_.length <= maxPayload(header_.type);
}

Bytes encodeHello(const Hello& hello) {
  return encodeExactly(hello);
}

Hello decodeHello(std::span<const std::byte> payload) {
  return decodeExactly<Hello>(payload, "greeting");
}

Bytes encodeKeyedHello(const KeyedHello& hello) {
  return encodeExactly(hello);
}

KeyedHello decodeKeyedHello(std::span<const std::byte> payload) {
  return decodeExactly<KeyedHello>(payload, "greeting");
}

Bytes encodeChallenge(const Nonce& challenge) {
  return encodeExactly(challenge);
}

Nonce decodeChallenge(std::span<const std::byte> payload) {
  return decodeExactly<Nonce>(payload, "challenge");
}

Bytes encodeMissing(const Missing& missing) {
  return encodeExactly(missing);
}

Missing decodeMissing(std::span<const std::byte> payload) {
  return decodeExactly<Missing>(payload, "list of missing ranks");
}

Bytes encodeFailure(const Failure& failure) {
  Bytes bytes;
  append(bytes, FailureHead{static_cast<std::uint32_t>(failure.code), failure.rank});
  const auto text = std::as_bytes(std::span(failure.text));
  bytes.insert(bytes.end(), text.begin(),
               text.begin() + static_cast<std::ptrdiff_t>(std::min(text.size(), kMaxFailureText)));
  return bytes;
}

Failure decodeFailure(std::span<const std::byte> payload) {
  const auto head = takeFront<FailureHead>(payload, "error");
  if (head.code > static_cast<std::uint32_t>(ErrorCode::internal) || head.rank < -1 ||
      head.rank >= kMaxWorld || payload.size() > kMaxFailureText)
    failMalformed("error");
  return {static_cast<ErrorCode>(head.code), head.rank,
          std::string(reinterpret_cast<const char*>(payload.data()), payload.size())};
}

Bytes encodeResult(std::span<const Bytes> contributions) {
  Bytes bytes;
  for (const Bytes& one : contributions) {
    append(bytes, static_cast<std::uint32_t>(one.size()));
    bytes.insert(bytes.end(), one.begin(), one.end());
  }
  return bytes;
}

std::vector<Bytes> decodeResult(std::span<const std::byte> payload, int worldSize) {
  std::vector<Bytes> contributions;
  for (int rank = 0; rank < worldSize; ++rank) {
    const auto length = takeFront<std::uint32_t>(payload, "all-gather result");
    if (length > kMaxContribution || length > payload.size()) failMalformed("all-gather result");
    contributions.emplace_back(payload.begin(), payload.begin() + length);
    payload = payload.subspan(length);
  }
  if (!payload.empty()) failMalformed("all-gather result");
  return contributions;
}

}  // namespace lockstep
