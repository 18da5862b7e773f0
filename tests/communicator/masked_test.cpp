// Mode cc-masked: what ranks get, which calls are masked, and what becomes of those that cannot be.
#include "communicator/masked.hpp"

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "support/reference.hpp"
#include "support/world.hpp"
#include <lockstep/device.hpp>

namespace lockstep::testing {
namespace {

constexpr std::size_t kChunk = cc::kChunkWords, kCarry = MaskedCall::kChunksAtOnce * kChunk;

Options masked() {
  return optionsOf(Mode::ccMasked);
}

/// What rank `rank` of `type` gives: of integers all bits, so that sums wrap.
std::vector<std::byte> given(DataType type, std::size_t count, int rank) {
  return randomElements(type, count, 100 + static_cast<std::uint64_t>(rank));
}

std::vector<std::byte> exactOf(DataType type, Reduction reduction, std::size_t count, int world) {
  std::vector<std::vector<std::byte>> all;
  std::vector<const void*> sources;
  for (int rank = 0; rank < world; ++rank) all.push_back(given(type, count, rank));
  for (const auto& one : all) sources.push_back(one.data());
  std::vector<std::byte> sum(count * sizeOf(type));
  foldExactly(type, reduction, sources, count, reduction == Reduction::avg ? world : 1, sum.data());
  return sum;
}

void requireMasked(Communicator& communicator, std::size_t count, DataType type) {
  const Plan plan = communicator.planAllReduce(count, type, false);
  require(plan.transport == "masked words in shared memory", "not masked: " + plan.transport);
}

/// Integers: the bits of every other mode, over counts that end in a chunk, at its end, in a second
/// carry, and for every way to run what carries them.
void integers(Kind kind, int world, const char* algorithm, const char* protocol,
              const std::vector<std::size_t>& counts) {
  Options options = masked();
  options.algorithm = algorithm;
  options.protocol = protocol;
  const auto outcomes = runRanks(kind, world, options, [&](Communicator& communicator, int rank) {
    for (const DataType type :
         {DataType::i8, DataType::u8, DataType::i32, DataType::u32, DataType::i64, DataType::u64})
      for (const Reduction reduction : {Reduction::sum, Reduction::avg})
        for (const std::size_t count : counts) {
          requireMasked(communicator, count, type);
          const auto in = given(type, count, rank), want = exactOf(type, reduction, count, world);
          std::vector<std::byte> out(in.size(), std::byte{0x5c});
          communicator.allReduce(in.data(), out.data(), count, type, reduction);
          require(out == want, fmt::format("{} {}, {}", count, name(type), name(reduction)));
          out = in;
          communicator.allReduce(out.data(), out.data(), count, type, reduction);
          require(out == want,
                  fmt::format("{} {}, {}, in place", count, name(type), name(reduction)));
        }
  });
  EXPECT_EQ(failures(outcomes), "")
      << fmt::format("{} as {}, {} {}", world, name(kind), algorithm, protocol);
}

TEST(Masked, IntegersAreThoseOfEveryMode) {
  for (const int world : {2, 3, 4}) {
    integers(Kind::threads, world, "", "", {1, kChunk - 1, kChunk, 3000});
    integers(Kind::threads, world, "ring", "simple", {7});
    integers(Kind::threads, world, "one_shot", "ll", {1500});
  }
  integers(Kind::threads, 8, "", "", {1, kChunk + 1});
  integers(Kind::threads, 2, "", "", {kCarry + 1});
}

TEST(Masked, IntegersOfProcesses) {
  for (const int world : {2, 3, 4}) integers(Kind::processes, world, "", "", {1, 700});
}

TEST(Masked, OneRankHasNothingToMask) {
  const auto outcomes = runRanks(Kind::threads, 1, masked(), [](Communicator& communicator, int) {
    std::vector<float> in{1, 2, 3}, out(3);
    communicator.allReduce(in.data(), out.data(), 3, DataType::f32);
    require(out == in, "a copy");
    require(communicator.planAllReduce(3, DataType::f32, false).reason.ends_with("one rank"),
            communicator.planAllReduce(3, DataType::f32, false).reason);
  });
  EXPECT_EQ(failures(outcomes), "");
}

/// Element `i` as a sum of what all ranks gave, and how far fixed point may be from it.
struct Bounded {
  long double sum = 0, bound = 0;
};
Bounded boundedSum(DataType type, const std::vector<std::vector<std::byte>>& inputs, std::size_t i,
                   int divisor) {
  const std::size_t count = inputs[0].size() / sizeOf(type), first = i / kChunk * kChunk;
  long double sum = 0, most = 0;
  for (const auto& in : inputs) {
    sum += elementAsDouble(type, in.data(), i);
    for (std::size_t j = first; j < std::min(count, first + kChunk); ++j)
      most = std::max<long double>(most, std::fabs(elementAsDouble(type, in.data(), j)));
  }
  const auto world = static_cast<long double>(inputs.size());
  sum /= divisor;
  return {sum,
          world * world * 0x1p-61L * most + std::fabs(sum) * unitRoundoff(type) * (1 + 0x1p-40L)};
}

void floats(Kind kind, int world) {
  const auto outcomes = runRanks(kind, world, masked(), [&](Communicator& communicator, int) {
    for (const DataType type : {DataType::f16, DataType::bf16, DataType::f32, DataType::f64})
      for (const Reduction reduction : {Reduction::sum, Reduction::avg})
        for (const std::size_t count : {std::size_t{1}, kChunk, std::size_t{3001}}) {
          requireMasked(communicator, count, type);
          std::vector<std::vector<std::byte>> inputs;
          for (int r = 0; r < world; ++r) inputs.push_back(given(type, count, r));
          std::vector<std::byte> out(inputs[0].size());
          communicator.allReduce(inputs[static_cast<std::size_t>(communicator.rank())].data(),
                                 out.data(), count, type, reduction);
          for (std::size_t i = 0; i < count; i += 97) {
            const Bounded want =
                boundedSum(type, inputs, i, reduction == Reduction::avg ? world : 1);
            const long double got = elementAsDouble(type, out.data(), i);
            require(std::fabs(got - want.sum) <= want.bound,
                    fmt::format("{} {}: element {} is {}, not {} within {}", name(type),
                                name(reduction), i, got, want.sum, want.bound));
          }
        }
  });
  EXPECT_EQ(failures(outcomes), "") << world << " as " << name(kind);
}

/// As the bound says: P * P * 2^-61 of the largest around, and one rounding.
TEST(Masked, FloatsAreNearTheExactSum) {
  for (const int world : {2, 3, 4, 8}) floats(Kind::threads, world);
  floats(Kind::processes, 3);
}

/// A NaN or an infinity of one rank: the bits of mode cc for the whole call, and the next call is
/// masked again.
TEST(Masked, WhatIsNotFiniteIsSealed) {
  constexpr std::size_t kCount = 3 * kChunk;
  for (const float odd :
       {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
        std::numeric_limits<float>::quiet_NaN()}) {
    const std::vector<Options> both{masked(), optionsOf(Mode::cc)};
    const auto outcomes =
        runRanks(Kind::threads, 3, both, [&](std::vector<Communicator>& all, int rank) {
          std::vector<float> in(kCount), out(kCount), want(kCount);
          std::memcpy(in.data(), given(DataType::f32, kCount, rank).data(), kCount * sizeof(float));
          const auto call = [&] {
            all[0].allReduce(in.data(), out.data(), kCount, DataType::f32);
            all[1].allReduce(in.data(), want.data(), kCount, DataType::f32);
            return std::memcmp(out.data(), want.data(), kCount * sizeof(float)) == 0;
          };
          require(!call(), "fixed point gives the bits of f32: this test shows nothing");
          if (rank == 1) in[kCount - 5] = odd;
          require(call(), "not the bits of mode cc");
          require(!std::isfinite(out[kCount - 5]) && std::isfinite(out[0]), "where it was");
          if (rank == 1) in[kCount - 5] = 1;
          require(!call(), "not masked again");
        });
    EXPECT_EQ(failures(outcomes), "") << odd;
  }
}

/// The order of ranks cannot be kept in fixed point.
TEST(Masked, ReproducibleFloatsAreSealed) {
  Options options = masked(), sealed = optionsOf(Mode::cc);
  options.reproducible = sealed.reproducible = true;
  const auto outcomes =
      runRanks(Kind::threads, 3, {options, sealed}, [&](std::vector<Communicator>& all, int rank) {
        constexpr std::size_t kCount = 2000;
        const auto in = given(DataType::f32, kCount, rank);
        std::vector<std::byte> out(in.size()), want(in.size());
        all[0].allReduce(in.data(), out.data(), kCount, DataType::f32);
        all[1].allReduce(in.data(), want.data(), kCount, DataType::f32);
        require(out == want, "other bits than mode cc");
        requireMasked(all[0], kCount, DataType::i32);
      });
  EXPECT_EQ(failures(outcomes), "");
}

TEST(Masked, PlansSayWhatIsSealedAndWhy) {
  const auto outcomes = runRanks(Kind::threads, 2, masked(), [](Communicator& communicator, int) {
    const auto plan = [&](DataType type) { return communicator.planAllReduce(100, type, true); };
    require(plan(DataType::f8e4m3).transport == "sealed records in shared memory" &&
                plan(DataType::f8e4m3).reason.ends_with("sum of f8e4m3 cannot be masked"),
            plan(DataType::f8e4m3).reason);
    require(plan(DataType::f64).reason.ends_with("masked words"), plan(DataType::f64).reason);
    require(communicator.plan(Collective::reduce, 100, DataType::i32, true).transport ==
                "sealed records in shared memory",
            "a reduce");
    // And so they are: other reductions, types and collectives, in between masked sums.
    for (int round = 0; round < 3; ++round) {
      std::vector<std::int32_t> in{3, -4, communicator.rank()}, out(3), gathered(6);
      communicator.allReduce(in.data(), out.data(), 3, DataType::i32, Reduction::max);
      require(out == std::vector<std::int32_t>{3, -4, 1}, "max");
      communicator.allReduce(in.data(), out.data(), 3, DataType::i32);
      require(out == std::vector<std::int32_t>{6, -8, 1}, "sum");
      communicator.allReduce(in.data(), out.data(), 3, DataType::i32,
                             PremultipliedSum{communicator.rank() + 1.0});
      require(out == std::vector<std::int32_t>{9, -12, 2}, "premultiplied");
      communicator.allGather(in.data(), gathered.data(), 3, DataType::i32);
      require(gathered == std::vector<std::int32_t>{3, -4, 0, 3, -4, 1}, "gathered");
      communicator.barrier();
      communicator.allReduce(nullptr, nullptr, 0, DataType::f32);
    }
  });
  EXPECT_EQ(failures(outcomes), "");
}

/// Asked for now and done later, several at once, with a progress thread too.
TEST(Masked, InGroups) {
  for (const bool thread : {false, true}) {
    Options options = masked();
    options.progressThread = thread;
    const auto outcomes =
        runRanks(Kind::threads, 3, {options, options}, [](std::vector<Communicator>& all, int) {
          std::vector<double> a(2000, 0.5), b(70'000, 0.25);
          std::vector<std::uint64_t> c(10, ~std::uint64_t{0});
          Group group;
          group.run(all[0], Collective::allReduce, a.data(), a.data(), a.size(), DataType::f64)
              .run(all[1], Collective::allReduce, b.data(), b.data(), b.size(), DataType::f64)
              .run(all[0], Collective::allReduce, c.data(), c.data(), c.size(), DataType::u64);
          group.start().wait();
          require(a == std::vector<double>(2000, 1.5) && b == std::vector<double>(70'000, 0.75) &&
                      c == std::vector<std::uint64_t>(10, ~std::uint64_t{0} - 2),
                  "a wrong sum");
        });
    EXPECT_EQ(failures(outcomes), "");
  }
}

/// Keys of children are their own, and work.
TEST(Masked, InChildren) {
  const auto outcomes = runRanks(Kind::threads, 5, masked(), [](Communicator& parent, int rank) {
    auto half = parent.split(rank % 2, rank);
    auto twin = parent.duplicate();
    std::int64_t one = 1, two = 1;
    half->allReduce(&one, &one, 1, DataType::i64);
    twin.allReduce(&two, &two, 1, DataType::i64);
    require(one == half->worldSize() && two == 5, "a wrong sum");
  });
  EXPECT_EQ(failures(outcomes), "");
}

/// No kernel masks, and nothing weaker takes its place.
TEST(Masked, GpusRefuse) {
  auto communicators = Communicator::createInProcess(1, masked());
  try {
    DeviceCommunicator::create(communicators[0]);
    FAIL() << "created";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::unsupported) << error.what();
    EXPECT_NE(std::string(error.what()).find("cc-masked"), std::string::npos) << error.what();
  }
}

/// Keystream made to mask, one stream with each neighbour, and to unmask.
TEST(Masked, CountersTellOfPads) {
  for (const int world : {2, 3}) {
    const auto outcomes = runRanks(Kind::threads, world, masked(), [&](Communicator& c, int) {
      std::vector<std::int32_t> data(cc::kPieceChunks * kChunk + 1);
      c.allReduce(data.data(), data.data(), data.size(), DataType::i32);
      const std::uint64_t bytes = (cc::kPieceWords + 1 + cc::kTagWords) * 8;
      const std::uint64_t streams = world == 2 ? 1 : 2;
      const Counters counters = c.counters();
      require(counters.sealed == streams * bytes && counters.opened == bytes &&
                  counters.records == (streams + 1) * 2 && counters.moved >= bytes,
              fmt::format("sealed {}, opened {}, records {}, moved {}", counters.sealed,
                          counters.opened, counters.records, counters.moved));
    });
    EXPECT_EQ(failures(outcomes), "");
  }
}

/// Ranks that call different sums hear of it.
TEST(Masked, ADifferentCallIsAMismatch) {
  const auto outcomes =
      runRanks(Kind::threads, 2, masked(), [](Communicator& communicator, int rank) {
        std::vector<std::int32_t> data(100, 1);
        communicator.allReduce(data.data(), data.data(), rank == 0 ? 99 : 100, DataType::i32);
      });
  for (const Outcome& outcome : outcomes)
    EXPECT_TRUE(outcome.code == ErrorCode::mismatch || outcome.code == ErrorCode::aborted)
        << describe(outcomes);
}

}  // namespace
}  // namespace lockstep::testing
