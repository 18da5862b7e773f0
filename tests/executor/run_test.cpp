// The resumable executor: one thread plays all ranks, a step here and a step there, in any order.
#include "executor/host/run.hpp"

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "support/stepped_rank.hpp"
#include <lockstep/error.hpp>

namespace lockstep::host {
namespace {

struct Rank : testing::SteppedRank {
  using SteppedRank::SteppedRank;
  std::vector<std::unique_ptr<const Plan>> plans;  ///< a run may know its last one by address
  Call call;
  std::vector<std::int32_t> in, out;
};

class OneThread : public ::testing::Test {
 protected:
  void make(int worldSize) {
    ranks_.clear();
    ends_ = joinThreads(worldSize);
    ranks_ = testing::makeRanks(
        ends_.size(), [this](std::size_t r) { return std::make_unique<Rank>(*ends_[r]); });
    sequence_ = 0;
  }

  int world() const { return static_cast<int>(ranks_.size()); }

  /// `last`: what the last rank says that it reduces by.
  void begin(const schedule::Algorithm& algorithm, shm::Protocol protocol, std::size_t tileBytes,
             std::size_t count, Reduction last = Reduction::sum) {
    ++sequence_;
    collective_ = algorithm.collective;
    const Contract& contract = contractOf(collective_);
    root_ = contract.rooted ? static_cast<int>(sequence_) % world() : 0;
    if (!contract.hasData) count = 0;
    for (std::size_t r = 0; r < ranks_.size(); ++r) {
      Rank& rank = *ranks_[r];
      PlanRequest request;
      request.algorithm = &algorithm;
      request.type = DataType::i32;
      request.root = root_;
      request.protocol = protocol;
      request.tileBytes = tileBytes;
      request.depth = 3;
      rank.plans.push_back(std::make_unique<const Plan>(lower(request, rank.fabric, nullptr)));
      rank.in.clear();
      for (int block = 0; block < blocks(BufferName::in, static_cast<int>(r)); ++block)
        rank.in.insert(rank.in.end(), count, valueOf(static_cast<int>(r), block));
      const auto outBlocks = static_cast<std::size_t>(blocks(BufferName::out, static_cast<int>(r)));
      rank.out.assign(outBlocks * count, -1);
      rank.call.in = rank.in.data();
      rank.call.out = rank.out.data();
      rank.call.count = count;
      rank.call.inAt = locationOf(rank, rank.in);
      rank.call.outAt = locationOf(rank, rank.out);
      rank.call.what = {.sequence = sequence_,
                        .collective = collective_,
                        .type = DataType::i32,
                        .reduction = r + 1 == ranks_.size() ? last : Reduction::sum,
                        .count = count,
                        .root = root_};
      rank.call.fingerprint = shm::fingerprint(rank.call.what);
      shm::announce(rank.fabric.mine().call, rank.call.what);
      rank.run.begin(*rank.plans.back(), rank.call, false);
    }
  }

  /// Steps ranks in an order drawn from `random` until all are done. False: nobody can go on.
  bool drive(std::mt19937& random) {
    std::vector<std::size_t> left(ranks_.size());
    for (std::size_t r = 0; r < left.size(); ++r) left[r] = r;
    for (int idle = 0; !left.empty() && idle < 1000; ++idle) {
      const std::size_t at = random() % left.size();
      const Progress progress = ranks_[left[at]]->run.step();
      if (progress == Progress::some) idle = 0;
      if (progress != Progress::done) continue;
      left.erase(left.begin() + static_cast<std::ptrdiff_t>(at));
      idle = 0;
    }
    return left.empty();
  }

  void expectResults() {
    const Contract& contract = contractOf(collective_);
    for (int r = 0; r < world(); ++r) {
      const std::vector<std::int32_t>& out = ranks_[static_cast<std::size_t>(r)]->out;
      const int outBlocks = blocks(BufferName::out, r);
      for (int block = 0; block < outBlocks; ++block) {
        const std::size_t count = out.size() / static_cast<std::size_t>(outBlocks);
        const auto first = out.begin() + static_cast<std::ptrdiff_t>(block * count);
        const int home = contract.inPerRank ? r : 0;
        const std::int32_t wanted =
            contract.reduces ? sumOf(home) : valueOf(contract.outPerRank ? block : root_, home);
        EXPECT_TRUE(std::all_of(first, first + static_cast<std::ptrdiff_t>(count),
                                [wanted](std::int32_t v) { return v == wanted; }))
            << "rank " << r << ", block " << block;
      }
    }
  }

 private:
  using BufferName = schedule::BufferName;

  /// Blocks of a rank's buffer.
  int blocks(BufferName buffer, int rank) const {
    schedule::Schedule schedule;
    schedule.collective = collective_;
    schedule.shape = {.worldSize = world(), .root = root_};
    return static_cast<int>(schedule::blocksOf(schedule, buffer, rank));
  }

  /// Every element of a rank's block of `in`, in this call.
  std::int32_t valueOf(int rank, int block) const {
    return rank + 1 + 100 * block + static_cast<std::int32_t>(sequence_);
  }
  std::int32_t sumOf(int block) const {
    std::int32_t sum = 0;
    for (int r = 0; r < world(); ++r) sum += valueOf(r, block);
    return sum;
  }

  static shm::Location locationOf(const Rank& rank, const std::vector<std::int32_t>& buffer) {
    if (buffer.empty()) return {shm::Location::kNothing, 0};
    return rank.regions.locate(buffer.data(), buffer.size() * sizeof(std::int32_t));
  }

  Collective collective_ = Collective::allReduce;
  int root_ = 0;

 protected:
  std::vector<std::unique_ptr<Peers>> ends_;
  std::vector<std::unique_ptr<Rank>> ranks_;
  std::uint64_t sequence_ = 0;
};

TEST_F(OneThread, DrivesAllRanksOfEveryAlgorithmInAnyOrder) {
  std::mt19937 random(3);
  for (const int worldSize : {1, 2, 3, 4, 7}) {
    make(worldSize);
    for (int round = 0; round < 3; ++round)
      for (const schedule::Algorithm* algorithm : schedule::algorithms())
        for (const shm::Protocol protocol :
             {shm::Protocol::simple, shm::Protocol::ll, shm::Protocol::brief})
          for (const std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{9000}}) {
            SCOPED_TRACE(fmt::format("{} ranks, {} {}, protocol {}, count {}", worldSize,
                                     name(algorithm->collective), algorithm->name,
                                     static_cast<int>(protocol), count));
            // Many tiles, so that slots come around.
            begin(*algorithm, protocol, 1024, count);
            ASSERT_TRUE(drive(random)) << "deadlock";
            expectResults();
          }
  }
}

/// What is waited for has the name of a rank that has not done its part.
TEST_F(OneThread, ARankAloneSaysForWhomItWaits) {
  make(3);
  begin(*schedule::findAlgorithm(Collective::allReduce, "one_shot", schedule::Edges::channels),
        shm::Protocol::simple, 4096, 10);
  host::Run& first = ranks_[0]->run;
  while (first.step() == Progress::some) {
  }
  EXPECT_EQ(first.step(), Progress::none);
  EXPECT_NE(first.awaited().word, nullptr);
  EXPECT_TRUE(first.awaited().rank == 1 || first.awaited().rank == 2);
  std::mt19937 random(1);
  EXPECT_TRUE(drive(random));
  expectResults();
}

TEST_F(OneThread, AMessageOfAnotherCallIsAMismatch) {
  for (const shm::Protocol protocol :
       {shm::Protocol::simple, shm::Protocol::ll, shm::Protocol::brief}) {
    make(2);
    begin(*schedule::findAlgorithm(Collective::allReduce, "one_shot", schedule::Edges::channels),
          protocol, 4096, 10, Reduction::max);
    try {
      std::mt19937 random(1);
      drive(random);
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::mismatch);
      EXPECT_NE(std::string(error.what()).find("i32 max"), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find("i32 sum"), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace lockstep::host
