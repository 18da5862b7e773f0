// A record that does not verify is either of another call, and then the ranks differ, or of
// nobody's making. What a peer is said to call decides nothing by itself.
#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "executor/sealed_ranks.hpp"

namespace lockstep::host {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// One rank's call, and how it is run.
struct Case {
  Collective collective = Collective::allReduce;
  const char* algorithm = "one_shot";
  std::size_t count = 10;
  DataType type = DataType::i64;
  Reduction reduction = Reduction::sum;
  int root = 0;
};

class Mismatch : public ::testing::TestWithParam<std::tuple<Mode, shm::Protocol, std::size_t>> {
 protected:
  static constexpr int kWorld = 3;

  void SetUp() override {
    ranks_.clear();
    ends_ = joinThreads(kWorld);
    ranks_ = makeSealedRanks(ends_);
    for (auto& rank : ranks_)
      rank->planOf = [&, r = rank.get()](const shm::CallDescription& call) -> const Plan* {
        for (const Case& c : cases_)
          if (c.collective == call.collective) return &planOf(*r, c, call);
        return nullptr;
      };
  }

  const Plan& planOf(SealedRank& rank, const Case& c, const shm::CallDescription& call) const {
    const auto& [mode, protocol, tileBytes] = GetParam();
    PlanRequest request;
    request.algorithm =
        schedule::findAlgorithm(c.collective, c.algorithm, schedule::Edges::channels);
    request.type = call.type;
    request.reduction = call.reduction;
    request.mode = mode;
    request.root = call.root;
    request.protocol = protocol;
    request.tileBytes = tileBytes;
    request.depth = 3;
    return rank.plan(request);
  }

  shm::CallDescription describe(const Case& c) const {
    return {.sequence = sequence_,
            .collective = c.collective,
            .type = c.type,
            .reduction = c.reduction,
            .count = c.count,
            .root = c.root};
  }

  /// The last rank makes a call of its own, and all steps are taken until somebody refuses.
  void begin(const Case& usual, const Case& other) {
    cases_ = {usual, other};
    for (int r = 0; r < kWorld; ++r) beginOn(r, r == kWorld - 1 ? other : usual);
  }
  void beginOn(int r, const Case& c) {
    SealedRank& rank = *ranks_[static_cast<std::size_t>(r)];
    rank.in.assign(2 * kWorld * c.count, 1);
    rank.out.assign(2 * kWorld * c.count, -1);
    rank.plansAsked = 0;
    rank.begin(planOf(rank, c, describe(c)), describe(c));
  }
  void step(int rank) {
    while (ranks_[static_cast<std::size_t>(rank)]->run.step() == Progress::some) {
    }
  }
  /// What rank 0 says of it, when rank 1 has sent too.
  std::optional<Error> refusal() {
    step(1);
    return refusalOf(0);
  }
  std::optional<Error> refusalOf(int rank) {
    try {
      step(rank);
    } catch (const Error& error) {
      EXPECT_LE(ranks_[0]->plansAsked, 3);
      return error;
    }
    return std::nullopt;
  }
  /// The last rank is said to call this.
  void claim(const shm::CallDescription& call) {
    shm::announce(ranks_.back()->fabric.mine().call, call);
  }
  /// The last rank goes on to more such calls, until it would have to wait for its readers. Returns
  /// how many it has begun.
  int goOn(const Case& c) {
    SealedRank& rank = *ranks_.back();
    int calls = 0;
    do {
      if (++calls > 100) return calls;
      ++rank.call.what.sequence;
      rank.call.fingerprint = shm::fingerprint(rank.call.what);
      shm::announce(rank.fabric.mine().call, rank.call.what);
      rank.run.begin(planOf(rank, c, rank.call.what), rank.call, false);
    } while (rank.run.step() == Progress::done);
    return calls;
  }
  /// What the last rank has sent to rank 0 in its first message is written over.
  void overwrite() {
    const auto& [mode, protocol, tileBytes] = GetParam();
    for (const int to : {0, schedule::kEveryone}) {
      if (to == schedule::kEveryone && !isMulticast(mode)) continue;
      shm::OutChannel& channel = ranks_.back()->fabric.out(to, protocol);
      const std::vector<std::byte> junk(shm::kBriefBytes, std::byte{7});
      if (protocol != shm::Protocol::simple)
        channel.writeLines(0, 0, junk.data(), junk.size());
      else
        std::copy(junk.begin(), junk.end(), channel.payload(0).inTheClear());
    }
  }
  void expectMismatch(const std::optional<Error>& error, const Case& usual, const Case& other) {
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), ErrorCode::mismatch) << error->what();
    EXPECT_EQ(error->rank(), kWorld - 1);
    EXPECT_THAT(error->what(), HasSubstr("called " + shm::toString(describe(usual))));
    EXPECT_THAT(error->what(), HasSubstr("called " + shm::toString(describe(other))));
    EXPECT_THAT(error->what(), Not(HasSubstr(shm::kHearsay)));
    expectNothingReleased();
    // What the record held was seen, and forgotten.
    const std::byte* seen = ranks_[0]->run.sealer().plain(0);
    EXPECT_TRUE(
        std::all_of(seen, seen + kRecordBytes, [](std::byte b) { return b == std::byte{}; }));
  }
  void expectIntegrity(const std::optional<Error>& error) {
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), ErrorCode::integrity) << error->what();
    expectNothingReleased();
  }
  /// Of the input of the last rank, all ones, nothing is in the caller's memory, but zeros perhaps.
  void expectNothingReleased() {
    for (const std::int64_t value : ranks_[0]->out) EXPECT_TRUE(value == -1 || value == 0) << value;
  }

  std::uint64_t sequence_ = 1;
  std::vector<Case> cases_;
  std::vector<std::unique_ptr<Peers>> ends_;
  SealedRanks ranks_;
};

const std::vector<std::pair<Case, Case>>& pairs() {
  static const std::vector<std::pair<Case, Case>> all = [] {
    const Case usual;
    std::vector<std::pair<Case, Case>> made;
    const auto add = [&](const Case& one, const std::function<void(Case&)>& change) {
      made.emplace_back(one, one);
      change(made.back().second);
    };
    add(usual, [](Case& c) { c.count = 9; });
    add(usual, [](Case& c) { c.count = 11; });
    add(usual, [](Case& c) { c.type = DataType::f64; });
    add(usual, [](Case& c) { c.type = DataType::i32; });
    add(usual, [](Case& c) { c.reduction = Reduction::max; });
    add(usual, [](Case& c) {
      c.collective = Collective::allGather;
      c.algorithm = "direct";
    });
    add(usual, [](Case& c) {
      c.collective = Collective::broadcast;
      c.algorithm = "direct";
      c.root = 2;
    });
    return made;
  }();
  return all;
}

TEST_P(Mismatch, IsToldWithBothCalls) {
  for (const auto& [usual, other] : pairs()) {
    SCOPED_TRACE(shm::toString(describe(other)));
    SetUp();
    begin(usual, other);
    step(2);
    expectMismatch(refusal(), usual, other);
  }
}

TEST_P(Mismatch, AfterCallsThatWentWellIsToldAsWell) {
  for (; sequence_ <= 3; ++sequence_) {
    begin({}, {});
    ASSERT_TRUE(driveAll(ranks_));
  }
  const Case other{.count = 9};
  begin({}, other);
  step(2);
  expectMismatch(refusal(), {}, other);
}

/// Of a broadcast, which its root can leave before anybody has come.
const Case kBroadcast{.collective = Collective::broadcast, .algorithm = "direct", .root = 2};

Case otherBroadcast() {
  Case other = kBroadcast;
  other.count = 9;
  return other;
}

TEST_P(Mismatch, ASenderThatHasGoneOnIsToldWithTheCallThatDiffered) {
  begin(kBroadcast, otherBroadcast());
  step(2);
  EXPECT_GE(goOn(otherBroadcast()), 1);  // 33, where slots are many and tiles large
  const auto error = refusalOf(0);
  expectMismatch(error, kBroadcast, otherBroadcast());
}

/// Of two roots of one broadcast neither waits for the other before the next call.
TEST_P(Mismatch, ADifferenceThatShowsInALaterCallIsTold) {
  Case mine = kBroadcast, theirs = kBroadcast;
  mine.root = 0;
  begin(mine, theirs);
  for (const int rank : {0, 1, 2}) step(rank);
  const std::string called[] = {shm::toString(describe(mine)), shm::toString(describe(theirs))};
  ++sequence_;
  for (const int rank : {0, 1, 2}) beginOn(rank, {});
  step(1);
  for (const int rank : {2, 0}) {
    const auto error = refusalOf(rank);
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), ErrorCode::mismatch) << error->what();
    for (const std::string& call : called) EXPECT_THAT(error->what(), HasSubstr("called " + call));
    EXPECT_THAT(error->what(), Not(HasSubstr(shm::kHearsay)));
  }
}

TEST_P(Mismatch, ForgedCallsOfBeforeAreNotBelieved) {
  begin(kBroadcast, kBroadcast);
  step(2);
  overwrite();
  claim(describe(otherBroadcast()));
  EXPECT_GE(goOn(kBroadcast), 1);
  expectIntegrity(refusalOf(0));
}

TEST_P(Mismatch, AForgedWordIsNotBelieved) {
  shm::CallDescription lie = describe({});
  lie.count = 11;
  {
    SCOPED_TRACE("nothing else is forged");
    begin({}, {});
    claim(lie);
    EXPECT_TRUE(driveAll(ranks_));
    for (const auto& rank : ranks_) EXPECT_EQ(rank->out[0], 3);
  }
  {
    SCOPED_TRACE("the record is, too");
    SetUp();
    begin({}, {});
    step(2);
    claim(lie);
    overwrite();
    expectIntegrity(refusal());
  }
  {
    SCOPED_TRACE("over a real mismatch");
    SetUp();
    begin({}, {.count = 9});
    step(2);
    claim(lie);
    expectIntegrity(refusal());
  }
  {
    SCOPED_TRACE("a real mismatch, whose record is forged");
    SetUp();
    begin({}, {.count = 9});
    step(2);
    overwrite();
    expectIntegrity(refusal());
  }
}

/// Absurd words are planned for nobody, or planned and do not fit: never more than an error.
TEST_P(Mismatch, WordsThatNobodyWouldSayDoNoHarm) {
  const auto lie = [&](const std::function<void(shm::CallDescription&)>& change) {
    SetUp();
    begin({}, {});
    step(2);
    shm::CallDescription call = describe({});
    change(call);
    claim(call);
    overwrite();
    expectIntegrity(refusal());
  };
  lie([](auto& call) { call.count = ~std::uint64_t{0}; });
  lie([](auto& call) { call.count = 0; });
  lie([](auto& call) { call.sequence = ~std::uint64_t{0}; });
  lie([](auto& call) { call.root = 63; });
  lie([](auto& call) { call.collective = Collective::barrier; });
  lie([](auto& call) { call.collective = static_cast<Collective>(200); });
}

// ---- sends and receives ----

/// Rank 0 sends, rank 1 receives, and `forge` comes between. What the receiver says of it.
std::optional<Error> receiveAfter(const shm::TransferDescription& sent,
                                  const shm::TransferDescription& received,
                                  const std::function<void(shm::Line&)>& forge) {
  const auto ends = joinThreads(2);
  const auto ranks = makeSealedRanks(ends);
  Transfers &sender = ranks[0]->transfers, &receiver = ranks[1]->transfers;
  std::vector<std::uint8_t> data(200'000, 1), got(200'000, 2);
  Transfer send{.direction = Transfer::Direction::send,
                .peer = 1,
                .data = data.data(),
                .count = sent.count,
                .type = sent.type};
  Transfer receive{.direction = Transfer::Direction::receive,
                   .peer = 0,
                   .data = got.data(),
                   .count = received.count,
                   .type = received.type};
  sender.add(send);
  receiver.add(receive);
  sender.step();
  static_assert(offsetof(shm::OutArea, copy) == 0);
  forge(reinterpret_cast<shm::OutArea&>(ranks[0]->fabric.writerClaims(1)).lines[0][0]);
  try {
    while (receiver.step()) {
    }
  } catch (const Error& error) {
    for (const std::uint8_t byte : got) EXPECT_TRUE(byte == 2 || byte == 0);
    return error;
  }
  return std::nullopt;
}

TEST(TransferMismatch, IsToldWithBoth) {
  using Pair = std::pair<shm::TransferDescription, shm::TransferDescription>;
  for (const auto& [sent, received] :
       {Pair{{1, 8, DataType::f32}, {1, 7, DataType::f32}},
        Pair{{1, 8, DataType::f32}, {1, 8, DataType::i32}},
        Pair{{1, 0, DataType::f32}, {1, 8, DataType::f32}},
        Pair{{1, 8, DataType::f32}, {1, 30000, DataType::f32}},
        Pair{{1, 1000, DataType::f32}, {1, 8, DataType::f32}},  // the rest is still to be looked at
        Pair{{1, 30000, DataType::f32}, {1, 30001, DataType::f32}}}) {
    SCOPED_TRACE(fmt::format("{} and {}", sent.count, received.count));
    const auto error = receiveAfter(sent, received, [](shm::Line&) {});
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), ErrorCode::mismatch) << error->what();
    EXPECT_THAT(error->what(), HasSubstr(fmt::format("sends {} {}", sent.count, name(sent.type))));
    EXPECT_THAT(error->what(),
                HasSubstr(fmt::format("receive of {} {}", received.count, name(received.type))));
  }
}

TEST(TransferMismatch, AForgedStampIsNotBelieved) {
  const shm::TransferDescription usual{1, 8, DataType::f32}, other{1, 7, DataType::f32},
      third{1, 9, DataType::f32};
  const auto stamped = [&](const shm::TransferDescription& sent, std::uint64_t stamp) {
    const auto error = receiveAfter(sent, usual, [&](shm::Line& line) {
      std::memcpy(line.data.data() + shm::kFirstLineBytes, &stamp, sizeof stamp);
    });
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), ErrorCode::integrity) << error->what();
  };
  stamped(usual, shm::stampOf(other));
  stamped(usual, shm::stampOf(usual) | shm::kDirect);
  stamped(usual, shm::stampOf({2, 8, DataType::f32}));
  stamped(usual, 0);
  stamped(usual, ~std::uint64_t{0});
  stamped(other, shm::stampOf(third));
  stamped(other, shm::stampOf(usual));
  stamped(other, shm::stampOf({1, (std::uint64_t{1} << 40) - 1, DataType::f64}));
}

// ---- a collective that meets a send ----

/// Announces and begins a call of 4 i32 on one rank.
void beginOn(SealedRank& rank, Collective collective, shm::Protocol protocol,
             std::uint64_t sequence) {
  PlanRequest request;
  request.algorithm = schedule::findAlgorithm(
      collective, collective == Collective::allReduce ? "one_shot" : "direct",
      schedule::Edges::channels);
  request.type = DataType::i32;
  request.mode = Mode::cc;
  request.protocol = protocol;
  request.tileBytes = 64;
  rank.plans.push_back(std::make_unique<const Plan>(lower(request, rank.fabric, &rank.keys)));
  rank.in.assign(4, 1);
  rank.out.assign(4, -1);
  rank.begin(*rank.plans.back(),
             {.sequence = sequence, .collective = collective, .type = DataType::i32, .count = 4});
}

/// Rank 1 of two sends, and then makes the call that rank 0 is in. What rank 0 says of it, when
/// `forge` has come between.
std::optional<Error> callAfter(shm::Protocol protocol, std::size_t sent,
                               const std::function<void(shm::Line&)>& forge = {}) {
  const auto ends = joinThreads(2);
  const auto ranks = makeSealedRanks(ends);
  Transfers& sender = ranks[1]->transfers;
  std::vector<float> data(sent, 1);
  Transfer send{.direction = Transfer::Direction::send,
                .peer = 0,
                .data = data.data(),
                .count = sent,
                .type = DataType::f32};
  sender.add(send);
  sender.step();
  if (forge) forge(reinterpret_cast<shm::OutArea&>(ranks[1]->fabric.writerClaims(0)).lines[0][0]);
  for (const std::size_t r : {1U, 0U}) {
    SealedRank& rank = *ranks[r];
    beginOn(rank, Collective::allReduce, protocol, 1);
    try {
      while (rank.run.step() == Progress::some) {
      }
    } catch (const Error& error) {
      for (const std::int32_t value : rank.out) EXPECT_TRUE(value == -1 || value == 0) << value;
      return error;
    }
  }
  return std::nullopt;
}

constexpr shm::Protocol kEach[] = {shm::Protocol::ll, shm::Protocol::brief, shm::Protocol::simple};

TEST(SendMismatch, IsToldWithBoth) {
  for (const shm::Protocol protocol : kEach)
    for (const std::size_t sent : {0U, 8U, 1000U, 30000U}) {
      SCOPED_TRACE(fmt::format("{} over protocol {}", sent, static_cast<int>(protocol)));
      const auto error = callAfter(protocol, sent);
      ASSERT_TRUE(error);
      EXPECT_EQ(error->code(), ErrorCode::mismatch) << error->what();
      EXPECT_EQ(error->rank(), 1);
      EXPECT_THAT(error->what(), HasSubstr(fmt::format("rank 1 sends {} f32", sent)));
      EXPECT_THAT(error->what(), HasSubstr("rank 0 called allreduce #1 (count 4, i32 sum)"));
      EXPECT_THAT(error->what(), Not(HasSubstr(shm::kHearsay)));
    }
}

TEST(SendMismatch, AForgedStampIsNotBelieved) {
  const auto stamped = [](std::uint64_t stamp) {
    return [stamp](shm::Line& line) {
      std::memcpy(line.data.data() + shm::kFirstLineBytes, &stamp, sizeof stamp);
    };
  };
  for (const shm::Protocol protocol : kEach)
    for (const std::uint64_t stamp :
         {std::uint64_t{0}, shm::stampOf({1, 9, DataType::f32}),
          shm::stampOf({1, 8, DataType::i32}),
          shm::stampOf({1, (std::uint64_t{1} << 40) - 1, DataType::f64})}) {
      const auto error = callAfter(protocol, 8, stamped(stamp));
      ASSERT_TRUE(error);
      EXPECT_EQ(error->code(), ErrorCode::integrity) << error->what();
    }
}

/// A receive that meets a broadcast whose root has gone on since.
TEST(TransferMismatch, ACollectiveThatIsOverIsTold) {
  for (const bool forged : {false, true}) {
    const auto ends = joinThreads(2);
    const auto ranks = makeSealedRanks(ends);
    SealedRank &root = *ranks[0], &rank = *ranks[1];
    for (std::uint64_t sequence = 1; sequence < 7; ++sequence) {
      beginOn(root, Collective::broadcast, shm::Protocol::ll, sequence);
      ASSERT_EQ(root.run.step(), Progress::done);
    }
    if (forged) {
      shm::CallDescription lie = root.call.what;
      for (lie.sequence = 1, lie.count = 3; lie.sequence < 7; ++lie.sequence)
        shm::announce(root.fabric.mine().call, lie);
    }
    rank.planOf = [&](const shm::CallDescription&) {
      PlanRequest request = root.plans.back()->request;
      rank.plans.push_back(std::make_unique<const Plan>(lower(request, rank.fabric, &rank.keys)));
      return rank.plans.back().get();
    };
    Transfers& receiver = rank.transfers;
    std::vector<std::int32_t> got(4, 2);
    Transfer receive{.direction = Transfer::Direction::receive,
                     .peer = 0,
                     .data = got.data(),
                     .count = 4,
                     .type = DataType::i32};
    receiver.add(receive);
    try {
      while (receiver.step()) {
      }
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), forged ? ErrorCode::integrity : ErrorCode::mismatch);
      if (!forged) {
        EXPECT_THAT(error.what(), HasSubstr("rank 0 called broadcast #1 (count 4, i32, root 0)"));
      }
    }
    EXPECT_EQ(got, std::vector<std::int32_t>(4, 2));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Paths, Mismatch,
    ::testing::Values(std::tuple{Mode::cc, shm::Protocol::ll, shm::kLlBytes},  // fused
                      std::tuple{Mode::cc, shm::Protocol::ll, std::size_t{16}},
                      std::tuple{Mode::cc, shm::Protocol::brief, std::size_t{1024}},
                      std::tuple{Mode::cc, shm::Protocol::simple, std::size_t{4096}},
                      std::tuple{Mode::ccMulticast, shm::Protocol::ll, shm::kLlBytes},
                      std::tuple{Mode::ccMulticast, shm::Protocol::simple, std::size_t{4096}}));

}  // namespace
}  // namespace lockstep::host
