#include "cc_mode/secure_pass.hpp"

#include <set>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collectives/registry.hpp"
#include "collectives/verify/verify.hpp"
#include <lockstep/error.hpp>

namespace lockstep::cc {
namespace {

using namespace schedule;

const Algorithm& algorithm(std::string_view name) {
  const Algorithm* a = findAlgorithm(Collective::allReduce, name, Edges::channels);
  if (!a) throw std::runtime_error(fmt::format("no algorithm {}", name));
  return *a;
}

Schedule clear(const Algorithm& a, const Shape& shape) {
  Schedule s = generate(a, shape);
  return shape.multicast ? s : deliverUnicast(std::move(s));
}

/// One lane per rank, three ranks: 0 sends to 1, which passes it on to 2.
Schedule relay(bool keepsCopy) {
  const Range r{0, 1};
  std::vector<Operand> dst{via({1, 2}, r)};
  if (keepsCopy) dst.push_back(out(r));
  Schedule s;
  s.name = "relay";
  s.shape.worldSize = 3;
  s.programs = {{{{move({via({0, 1}, r)}, {in(r)})}}},
                {{{forward(dst, via({0, 1}, r))}}},
                {{{move({out(r)}, {via({1, 2}, r)})}}}};
  return s;
}

std::uint32_t sum(const std::map<KeyName, std::uint32_t>& nonces, int sender) {
  std::uint32_t n = 0;
  for (const auto& [key, count] : nonces)
    if (key.sender == sender) n += count;
  return n;
}

/// The first, one between and the last, where there is a root.
std::set<int> rootsOf(const Algorithm& a, int world) {
  if (!contractOf(a.collective).rooted) return {0};
  return {0, world / 2, world - 1};
}

void expectProvenSealed(const Algorithm& a, const Shape& shape, bool groupKeys) {
  SCOPED_TRACE(fmt::format("{} {} of {} ranks, root {}, in place {}, multicast {}, group keys {}",
                           name(a.collective), a.name, shape.worldSize, shape.root, shape.inPlace,
                           shape.multicast, groupKeys));
  const Schedule s = clear(a, shape);
  const Verdict verdict = verify(secure(s, groupKeys), {.sealed = true});
  EXPECT_THAT(verdict.faults, testing::IsEmpty());
  EXPECT_EQ(verdict.expressions, verify(s, {}).expressions) << "sealing changes no result";
  if (contractOf(a.collective).reduces && (a.rankOrder || shape.worldSize > 3)) {
    EXPECT_EQ(verdict.rankOrder, a.rankOrder);
  }
}

TEST(SecurePass, EveryAlgorithmIsProvenSealed) {
  for (const Algorithm* a : algorithms()) {
    if (a->edges != Edges::channels) continue;
    for (int world = 1; world <= 17; ++world)
      for (const bool inPlace : {false, true})
        for (const bool multicast : {false, true})
          for (const bool groupKeys : {false, true})
            for (const int root : rootsOf(*a, world))
              expectProvenSealed(*a, {world, inPlace, multicast, root}, groupKeys);
  }
}

TEST(SecurePass, TheLargestWorldToo) {
  for (const Algorithm* a : algorithms())
    if (a->edges == Edges::channels)
      for (const bool groupKeys : {false, true}) {
        SCOPED_TRACE(fmt::format("{} {}", name(a->collective), a->name));
        const int root = contractOf(a->collective).rooted ? kMaxWorld / 2 : 0;
        const Schedule s = clear(*a, {kMaxWorld, true, groupKeys, root});
        EXPECT_THAT(verify(secure(s, groupKeys), {.sealed = true}).faults, testing::IsEmpty());
      }
}

TEST(SecurePass, RefusesExposure) {
  const Algorithm* a = findAlgorithm(Collective::allReduce, "two_shot", Edges::exposure);
  ASSERT_NE(a, nullptr);
  for (const bool groupKeys : {false, true}) try {
      secure(generate(*a, {.worldSize = 4}), groupKeys);
      FAIL() << "sealed a schedule that exposes memory";
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::invalidArgument);
      EXPECT_THAT(e.what(), testing::HasSubstr("plaintext would cross"));
    }
}

TEST(SecurePass, RefusesWhatIsNotPaired) {
  Schedule s = relay(true);
  s.programs[2].lanes[0].clear();
  try {
    secure(s, true);
    FAIL() << "sealed a message that no one receives";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::invalidArgument);
    EXPECT_THAT(e.what(), testing::HasSubstr("has no receive"));
  }
}

TEST(SecurePass, GroupKeysForwardShut) {
  const Schedule s = secure(relay(true), true);
  const Seal expected{0, kEveryone, 0};
  EXPECT_EQ(s.programs[0].lanes[0][0].dst[0].seal, expected);
  const Op& hop = s.programs[1].lanes[0][0];
  EXPECT_EQ(hop.kind, OpKind::forward);
  EXPECT_EQ(hop.src[0].seal, expected);
  EXPECT_EQ(hop.dst[0].seal, expected);
  EXPECT_FALSE(hop.dst[1].seal) << "memory is not sealed";
  EXPECT_EQ(s.programs[2].lanes[0][0].src[0].seal, expected);
  EXPECT_EQ(noncesPerTile(s), (std::map<KeyName, std::uint32_t>{{{0, kEveryone}, 1}}));
}

TEST(SecurePass, WithoutGroupKeysAForwardIsARecvAndASend) {
  const Schedule s = secure(relay(true), false);
  const Lane& hop = s.programs[1].lanes[0];
  ASSERT_EQ(hop.size(), 2U);
  EXPECT_EQ(hop[0].kind, OpKind::move);
  EXPECT_EQ(hop[0].dst[0].buffer, BufferName::out);
  EXPECT_EQ(hop[0].src[0].seal, (Seal{0, 1, 0}));
  EXPECT_EQ(hop[1].kind, OpKind::move);
  EXPECT_EQ(hop[1].src[0].buffer, BufferName::out);
  EXPECT_EQ(hop[1].dst[0].seal, (Seal{1, 2, 0}));
  EXPECT_EQ(s.scratchChunks, 0U) << "out holds it on the way";
  EXPECT_EQ(noncesPerTile(s), (std::map<KeyName, std::uint32_t>{{{0, 1}, 1}, {{1, 2}, 1}}));
}

TEST(SecurePass, WhatOnlyPassesThroughRestsInScratchOfItsLane) {
  Schedule s = relay(false);
  s.chunks = 5;
  s.scratchChunks = 2;
  const auto widen = [](Op& op, Range r) {
    for (Operand& o : op.src) o.range = r;
    for (Operand& o : op.dst) o.range = r;
  };
  for (Program& p : s.programs) widen(p.lanes[0][0], {1, 3});
  // A second lane of rank 1 relays the other way, at the same time.
  s.programs[2].lanes.push_back({move({via({2, 1}, {0, 2})}, {in({0, 2})})});
  s.programs[1].lanes.push_back({forward({via({1, 0}, {0, 2})}, via({2, 1}, {0, 2}))});
  s.programs[0].lanes.push_back({move({out({0, 2})}, {via({1, 0}, {0, 2})})});

  s = secure(s, false);
  EXPECT_EQ(s.scratchChunks, 2U + 3U + 2U);
  EXPECT_EQ(s.programs[1].lanes[0][0].dst[0].range, (Range{2, 3}));
  EXPECT_EQ(s.programs[1].lanes[1][0].dst[0].range, (Range{5, 2}));
}

TEST(SecurePass, IndicesCountWhatASealerEmitsUnderAKey) {
  const Range r{0, 1};
  Schedule s;
  s.name = "two each";
  s.shape.worldSize = 3;
  const Op toOne = move({via({0, 1}, r)}, {in(r)});
  s.programs = {{{{toOne, move({via({0, 2}, r)}, {in(r)}), toOne}}},
                {{{move({out(r)}, {via({0, 1}, r), via({0, 1}, r)})}}},
                {{{move({out(r)}, {via({0, 2}, r)})}}}};
  s = secure(s, true);
  const Lane& lane = s.programs[0].lanes[0];
  EXPECT_EQ(lane[0].dst[0].seal, (Seal{0, 1, 0}));
  EXPECT_EQ(lane[1].dst[0].seal, (Seal{0, 2, 0}));
  EXPECT_EQ(lane[2].dst[0].seal, (Seal{0, 1, 1}));
  EXPECT_EQ(s.programs[1].lanes[0][0].src[1].seal, (Seal{0, 1, 1}));
}

// DESIGN.md, "Crypto per rank": seals of P ranks on a message of S bytes, here in messages.
TEST(SecurePass, SealsAsOftenAsTheTableSays) {
  const int world = 8;
  const std::uint32_t peers = world - 1;
  const auto seals = [&](std::string_view name, bool groupKeys, bool multicast) {
    return noncesPerTile(secure(clear(algorithm(name), {world, false, multicast}), groupKeys));
  };
  for (int rank = 0; rank < world; ++rank) {
    SCOPED_TRACE(rank);
    // Messages of S.
    EXPECT_EQ(sum(seals("one_shot", false, false), rank), peers);
    EXPECT_EQ(sum(seals("one_shot", true, true), rank), 1U);
    // Messages of S/P.
    EXPECT_EQ(sum(seals("two_shot", false, false), rank), 2 * peers);
    EXPECT_EQ(sum(seals("two_shot", true, true), rank), peers + 1);
    EXPECT_EQ(sum(seals("ring", false, false), rank), 2 * peers);
    EXPECT_EQ(sum(seals("ring", true, false), rank), peers + 1);
  }
}

/// The template of sends and receives (collectives/PROGRAMS.md): a lane per peer and direction, and
/// one for the rank's own part. As an all-to-all, which is the one that has a contract.
Schedule transfers(int world) {
  Schedule s;
  s.name = "transfers";
  s.collective = Collective::allToAll;
  s.shape.worldSize = world;
  for (int rank = 0; rank < world; ++rank) {
    const auto block = [](int b) { return Range{static_cast<std::uint32_t>(b), 1}; };
    Program program;
    program.lanes.push_back({move({out(block(rank))}, {in(block(rank))})});
    for (int peer = 0; peer < world; ++peer) {
      if (peer == rank) continue;
      program.lanes.push_back({move({out(block(peer))}, {via({peer, rank}, block(rank))})});
      program.lanes.push_back({move({via({rank, peer}, block(peer))}, {in(block(peer))})});
    }
    s.programs.push_back(program);
  }
  return s;
}

TEST(SecurePass, TheTemplateOfTransfersIsProven) {
  for (int world = 1; world <= 9; ++world) {
    const Schedule s = transfers(world);
    EXPECT_THAT(verify(s, {}).faults, testing::IsEmpty()) << world;
    EXPECT_THAT(verify(secure(s, false), {.sealed = true}).faults, testing::IsEmpty()) << world;
  }
}

}  // namespace
}  // namespace lockstep::cc
