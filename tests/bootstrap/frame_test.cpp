#include "bootstrap/frame.hpp"

#include <random>

#include <gtest/gtest.h>

#include "fuzz/bootstrap_frame_target.hpp"

namespace lockstep {
namespace {

constexpr FrameTypes kAny = (1u << kFrameTypes) - 1;

/// Feeds `bytes` in pieces; the frames that came out, or nothing if they were refused.
std::optional<std::vector<Frame>> readAll(FrameReader& reader, std::span<const std::byte> bytes,
                                          std::size_t piece) {
  std::vector<Frame> frames;
  while (!bytes.empty()) {
    const auto space = reader.space();
    const std::size_t n = std::min({space.size(), piece, bytes.size()});
    std::copy_n(bytes.begin(), n, space.begin());
    bytes = bytes.subspan(n);
    if (!reader.received(n)) return std::nullopt;
    if (reader.complete()) frames.push_back(reader.take());
  }
  return frames;
}

Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST(FrameReader, PutsFramesTogetherFromPiecesOfAnySize) {
  const Bytes payload(1000, std::byte{42});
  const Bytes stream = encodeFrame(FrameType::gather, payload) + encodeFrame(FrameType::giveUp) +
                       encodeFrame(FrameType::gather) + encodeFrame(FrameType::gather, payload);
  for (const std::size_t piece : {1, 2, 3, 11, 12, 13, 1000, 100000}) {
    SCOPED_TRACE(piece);
    FrameReader reader(kAny);
    const auto frames = readAll(reader, stream, piece);
    ASSERT_TRUE(frames.has_value());
    ASSERT_EQ(frames->size(), 4u);
    EXPECT_EQ((*frames)[0].payload, payload);
    EXPECT_EQ((*frames)[1].type, FrameType::giveUp);
    EXPECT_TRUE((*frames)[2].payload.empty());
    EXPECT_EQ((*frames)[3].payload, payload);
  }
}

Bytes header(std::uint32_t magic, std::uint32_t type, std::uint32_t length) {
  const FrameHeader h{magic, static_cast<FrameType>(type), length};
  const auto bytes = std::as_bytes(std::span(&h, 1));
  return {bytes.begin(), bytes.end()};
}

TEST(FrameReader, RefusesHeadersBeyondTheBounds) {
  const auto accepts = [](FrameTypes allowed, const Bytes& bytes) {
    FrameReader reader(allowed);
    return readAll(reader, bytes, 64).has_value();
  };
  for (std::uint32_t type = 0; type < kFrameTypes; ++type) {
    SCOPED_TRACE(type);
    const auto max = static_cast<std::uint32_t>(maxPayload(static_cast<FrameType>(type)));
    EXPECT_TRUE(accepts(kAny, header(kFrameMagic, type, max)));
    EXPECT_FALSE(accepts(kAny, header(kFrameMagic, type, max + 1)));
    EXPECT_FALSE(accepts(kAny, header(kFrameMagic, type, 0xffffffff)));
    EXPECT_FALSE(accepts(kAny & ~(1u << type), header(kFrameMagic, type, 0)));
    EXPECT_FALSE(accepts(kAny, header(kFrameMagic + 1, type, 0)));
  }
  for (const std::uint32_t type : {9u, 31u, 32u, 0xffffffffu})
    EXPECT_FALSE(accepts(~0u, header(kFrameMagic, type, 0)));
}

TEST(Payloads, RoundTrip) {
  const std::vector<Bytes> given{Bytes(3, std::byte{1}), {}, Bytes(70000, std::byte{2})};
  EXPECT_EQ(decodeResult(encodeResult(given), 3), given);
  const Failure failure =
      decodeFailure(encodeFailure({ErrorCode::mismatch, 5, std::string(600, 'x')}));
  EXPECT_EQ(failure.code, ErrorCode::mismatch);
  EXPECT_EQ(failure.rank, 5);
  EXPECT_EQ(failure.text, std::string(512, 'x'));
  const Missing missing = decodeMissing(encodeMissing({0x8000000000000001, 0x10}));
  EXPECT_EQ(missing.ranks, 0x8000000000000001);
  EXPECT_EQ(missing.twice, 0x10U);
  const Hello hello = decodeHello(encodeHello({Token{std::byte{9}}, 3, 4}));
  EXPECT_EQ(hello.token[0], std::byte{9});
  EXPECT_EQ(hello.rank, 3u);
  EXPECT_EQ(hello.worldSize, 4u);
}

TEST(Payloads, RefuseWhatNoEncoderWrites) {
  const Bytes result = encodeResult(std::vector<Bytes>{Bytes(3), Bytes(2)});
  EXPECT_THROW(decodeResult(result, 1), Error);
  EXPECT_THROW(decodeResult(result, 3), Error);
  EXPECT_THROW(decodeResult(std::span(result).first(result.size() - 1), 2), Error);
  EXPECT_THROW(decodeMissing(Bytes(7)), Error);
  EXPECT_THROW(decodeHello(Bytes(sizeof(Hello) + 1)), Error);
  EXPECT_THROW(decodeFailure(Bytes(3)), Error);
  Bytes failure = encodeFailure({ErrorCode::internal, -1, ""});
  failure[0] = std::byte{11};  // one past the last code
  EXPECT_THROW(decodeFailure(failure), Error);
}

TEST(Payloads, SurviveSeededFuzzing) {
  std::mt19937 random(7);
  for (int i = 0; i < 20000; ++i) {
    Bytes input(4);
    for (std::byte& b : input) b = static_cast<std::byte>(random());
    for (auto frames = random() % 4; frames > 0; --frames) {
      Bytes payload(random() % 64);
      for (std::byte& b : payload) b = static_cast<std::byte>(random() % 4);
      const auto type = static_cast<FrameType>(random() % kFrameTypes);
      input = input + encodeFrame(type, payload);
    }
    if (input.size() > 4 && random() % 2 == 0)
      input[4 + random() % (input.size() - 4)] = static_cast<std::byte>(random());
    fuzz::bootstrapFrames(input);
  }
}

TEST(RankSet, SpeaksOfRanks) {
  EXPECT_EQ(describe(RankSet{0}), "no rank");
  EXPECT_EQ(describe(rankBit(3)), "rank 3");
  EXPECT_EQ(describe(rankBit(2) | rankBit(5)), "ranks 2 and 5");
  EXPECT_EQ(describe(rankBit(0) | rankBit(2) | rankBit(63)), "ranks 0, 2 and 63");
  EXPECT_EQ(allRanks(1), 1u);
  EXPECT_EQ(allRanks(64), ~RankSet{0});
  EXPECT_STREQ(have(allRanks(1)), "has");
  EXPECT_STREQ(have(allRanks(2)), "have");
}

TEST(Tokens, AreRandomAndReadBack) {
  const Token token = randomToken();
  EXPECT_NE(token, randomToken());
  EXPECT_EQ(parseToken(toHex(token)), token);
  EXPECT_TRUE(sameToken(token, token));
  Token other = token;
  other.back() ^= std::byte{128};
  EXPECT_FALSE(sameToken(token, other));
  EXPECT_FALSE(parseToken(toHex(token) + "0").has_value());
  EXPECT_FALSE(parseToken("G" + toHex(token).substr(1)).has_value());
}

}  // namespace
}  // namespace lockstep
