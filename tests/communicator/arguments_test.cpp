// What a caller can get wrong: an error that says what, and a communicator that lives on.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/world.hpp"

namespace lockstep::testing {
namespace {

/// Throws unless `call` fails with `code` and a text that contains `part`.
template <class F>
void requireError(ErrorCode code, const std::string& part, F call) {
  try {
    call();
  } catch (const Error& error) {
    require(error.code() == code && std::string(error.what()).find(part) != std::string::npos,
            fmt::format("expected [{}] with '{}', got [{}] {}", lockstep::name(code), part,
                        lockstep::name(error.code()), error.what()));
    return;
  }
  throw std::runtime_error(
      fmt::format("expected [{}] with '{}', got nothing", lockstep::name(code), part));
}

void requireWorks(Communicator& communicator) {
  std::int32_t value = communicator.rank() + 1;
  communicator.allReduce(&value, &value, 1, DataType::i32);
  const int world = communicator.worldSize();
  require(value == world * (world + 1) / 2, "a good call after bad ones gave a wrong result");
}

/// Every call here is refused on every rank before anything is sent.
void makeBadCalls(Communicator& communicator) {
  constexpr auto kBad = ErrorCode::invalidArgument;
  std::vector<float> a(64), b(64);
  const auto reduce = [&](const void* in, void* out, std::size_t count,
                          DataType type = DataType::f32, Reduction reduction = Reduction::sum) {
    return [=, &communicator] { communicator.allReduce(in, out, count, type, reduction); };
  };
  requireError(kBad, "in is null", reduce(nullptr, b.data(), 64));
  requireError(kBad, "out is null", reduce(a.data(), nullptr, 64));
  requireError(kBad, "overlap", reduce(a.data(), a.data() + 1, 63));
  requireError(kBad, "overlap", reduce(a.data() + 63, a.data(), 64));
  requireError(kBad, "memory", reduce(a.data(), b.data(), std::numeric_limits<std::size_t>::max()));
  requireError(
      kBad, "memory",
      reduce(a.data(), b.data(), std::numeric_limits<std::size_t>::max() / 8 + 1, DataType::f64));
  requireError(kBad, fmt::format("data type ({})", kDataTypes),
               reduce(a.data(), b.data(), 1, static_cast<DataType>(kDataTypes)));
  requireError(kBad, fmt::format("reduction ({})", kReductions),
               reduce(a.data(), b.data(), 1, DataType::f32, static_cast<Reduction>(kReductions)));
  requireError(kBad, "0 bytes", [&] { communicator.alloc(0); });
  requireError(kBad, "bytes", [&] { communicator.alloc(std::numeric_limits<std::size_t>::max()); });
}

TEST(Arguments, BadCallsLeaveTheCommunicatorUsable) {
  for (const Kind kind : {Kind::threads, Kind::sockets, Kind::processes})
    for (const Mode mode : {Mode::p2p, Mode::cc}) {
      const auto outcomes = runRanks(kind, 2, optionsOf(mode), [](Communicator& communicator, int) {
        requireWorks(communicator);
        makeBadCalls(communicator);
        requireWorks(communicator);
      });
      EXPECT_EQ(failures(outcomes), "") << name(kind) << ", " << name(mode);
    }
}

// ---- memory that others read and write ----

/// Every call of a sealed communicator refuses it, wherever a buffer has a byte of it.
void refuseOpen(Communicator& sealed, const Buffer& open) {
  constexpr auto kBad = ErrorCode::invalidArgument;
  const std::string why = "a Buffer of a communicator in the clear";
  auto* const data = static_cast<float*>(open.data());
  float* const last = data + open.size() / sizeof(float) - 1;
  std::vector<float> mine(8);
  for (float* const theirs : {data, last}) {
    requireError(kBad, "allreduce: " + why,
                 [&] { sealed.allReduce(theirs, theirs, 1, DataType::f32); });
    requireError(kBad, why, [&] { sealed.allReduce(mine.data(), theirs, 1, DataType::f32); });
    requireError(kBad, "allgather: " + why,
                 [&] { sealed.allGather(theirs, mine.data(), 1, DataType::f32); });
    requireError(kBad, "send: " + why, [&] { sealed.send(theirs, 1, DataType::f32, 0); });
    requireError(kBad, "receive: " + why, [&] { sealed.receive(theirs, 1, DataType::f32, 0); });
    requireError(kBad, why, [&] {
      Group().run(sealed, Collective::broadcast, theirs, theirs, 1, DataType::f32);
    });
  }
}

TEST(Arguments, ASealedCallRefusesABufferOfACommunicatorInTheClear) {
  const std::vector<Options> options{optionsOf(Mode::p2p), optionsOf(Mode::cc)};
  const auto outcomes =
      runRanks(Kind::processes, 2, options, [](std::vector<Communicator>& communicators, int) {
        Communicator &clear = communicators[0], &sealed = communicators[1];
        requireWorks(sealed);
        {
          const Buffer open = clear.alloc(100), own = sealed.alloc(100);
          refuseOpen(sealed, open);
          auto* const data = static_cast<float*>(own.data());
          sealed.allReduce(data, data, 8, DataType::f32);
          clear.allReduce(open.data(), data, 8, DataType::f32);
          requireWorks(sealed);
        }
        requireWorks(sealed);
      });
  EXPECT_EQ(failures(outcomes), "");
}

// ---- blocks and roots ----

/// A call of any collective, on memory for blocks of `count` floats.
auto callOf(Communicator& communicator, Collective collective, const void* in, void* out,
            std::size_t count, int root = 0) {
  return [=, &communicator] {
    communicator.run(collective, in, out, count, DataType::f32, Reduction::sum, root);
  };
}

constexpr Collective kRooted[] = {Collective::broadcast, Collective::reduce, Collective::gather,
                                  Collective::scatter};

void refuseRoots(Communicator& communicator) {
  std::vector<float> a(64), b(64);
  for (const Collective collective : kRooted)
    for (const int root : {-1, communicator.worldSize(), std::numeric_limits<int>::max()})
      requireError(ErrorCode::invalidArgument,
                   fmt::format("{}: root {} is not in a world of 2", name(collective), root),
                   callOf(communicator, collective, a.data(), b.data(), 8, root));
}

/// Of every buffer that this rank has.
void refuseNull(Communicator& communicator) {
  std::vector<float> data(64);
  for (std::size_t c = 0; c < kCollectives; ++c) {
    const auto collective = static_cast<Collective>(c);
    const Contract& contract = contractOf(collective);
    const bool atRoot = communicator.rank() == 0;
    const auto refuse = [&](const char* which, const void* in, void* out) {
      requireError(ErrorCode::invalidArgument,
                   fmt::format("{}: {} is null, but count is 8", name(collective), which),
                   callOf(communicator, collective, in, out, 8));
    };
    if (contract.hasData && (atRoot || !contract.inAtRoot)) refuse("in", nullptr, data.data());
    if (contract.hasData && (atRoot || !contract.outAtRoot)) refuse("out", data.data(), nullptr);
  }
}

/// In place is one place only.
void refuseOverlap(Communicator& communicator) {
  constexpr std::size_t n = 8;
  std::vector<float> data(8 * n);
  float* const at = data.data() + 4 * n;
  const int rank = communicator.rank();
  const auto refuse = [&](Collective collective, const float* in, float* out) {
    requireError(ErrorCode::invalidArgument,
                 fmt::format("{}: in and out overlap without being", name(collective)),
                 callOf(communicator, collective, in, out, n, rank));
  };
  const std::size_t mine = static_cast<std::size_t>(rank) * n, other = n - mine;
  for (const Collective c : {Collective::allGather, Collective::gather}) {
    refuse(c, at + other, at);
    refuse(c, at + mine + 1, at);
    refuse(c, at - 1, at);
  }
  for (const Collective c : {Collective::reduceScatter, Collective::scatter}) {
    refuse(c, at, at + other);
    refuse(c, at, at + mine + 1);
    refuse(c, at, at - 1);
  }
  refuse(Collective::allToAll, at, at + n);
  refuse(Collective::allToAll, at, at - 2 * n + 1);
  for (const Collective c : {Collective::broadcast, Collective::reduce}) {
    refuse(c, at, at + n - 1);
    refuse(c, at, at - 1);
  }
}

/// A block fits, one per rank does not. Refused by those as well who have one block only, or none:
/// otherwise they would wait.
void refuseTooMuch(Communicator& communicator) {
  constexpr std::size_t most = std::numeric_limits<std::ptrdiff_t>::max();
  std::vector<float> a(64), b(64);
  const auto refuse = [&](Collective collective, std::size_t count) {
    requireError(ErrorCode::invalidArgument,
                 fmt::format("{}: count {} is more than memory can hold", name(collective), count),
                 callOf(communicator, collective, a.data(), b.data(), count));
  };
  for (const Collective c : {Collective::allGather, Collective::reduceScatter, Collective::allToAll,
                             Collective::gather, Collective::scatter}) {
    refuse(c, most / sizeof(float) / 2 + 1);
    refuse(c, std::numeric_limits<std::size_t>::max() / sizeof(float) / 2 + 1);
  }
  for (std::size_t c = 0; c < kCollectives; ++c)
    if (contractOf(static_cast<Collective>(c)).hasData)
      refuse(static_cast<Collective>(c), std::numeric_limits<std::size_t>::max() / 2);
  requireError(ErrorCode::invalidArgument, "more than memory can hold", [&] {
    static_cast<void>(communicator.plan(Collective::allGather, most, DataType::f32, false));
  });
}

TEST(Arguments, BadCallsWithBlocksOrRootsLeaveTheCommunicatorUsable) {
  for (const Kind kind : {Kind::threads, Kind::processes})
    for (const Mode mode : {Mode::p2p, Mode::cc}) {
      const auto outcomes = runRanks(kind, 2, optionsOf(mode), [](Communicator& communicator, int) {
        refuseRoots(communicator);
        refuseNull(communicator);
        refuseOverlap(communicator);
        refuseTooMuch(communicator);
        requireWorks(communicator);
      });
      EXPECT_EQ(failures(outcomes), "") << name(kind) << ", " << name(mode);
    }
}

TEST(Arguments, ABufferThatARankDoesNotHaveMayBeNullOrAnything) {
  constexpr int kRoot = 1;
  for (const Mode mode : {Mode::p2p, Mode::cc})
    for (const std::size_t count : {std::size_t{8}, std::size_t{5000}})
      for (const bool null : {false, true}) {
        const auto outcomes = runRanks(
            Kind::processes, 3, optionsOf(mode), [&](Communicator& communicator, int rank) {
              const std::vector<float> mine(3 * count, static_cast<float>(rank + 1));
              std::vector<float> result(3 * count, -1.0F);
              // What nobody may touch: no memory, or memory that would overlap.
              for (const Collective collective : kRooted) {
                const Contract& contract = contractOf(collective);
                const bool hasIn = rank == kRoot || !contract.inAtRoot;
                const bool hasOut = rank == kRoot || !contract.outAtRoot;
                const float* in = hasIn ? mine.data() : null ? nullptr : result.data() + 1;
                std::vector<float> spare(3 * count, -1.0F);
                float* out = hasOut ? result.data() : null ? nullptr : spare.data();
                callOf(communicator, collective, in, out, count, kRoot)();
                const float wanted = contract.reduces ? 6.0F : contract.inAtRoot ? 2.0F : 1.0F;
                require(!hasOut || result[0] == wanted,
                        fmt::format("{} gave {}", name(collective), result[0]));
                require(spare[0] == -1.0F, "wrote to a buffer that this rank does not have");
              }
            });
        EXPECT_EQ(failures(outcomes), "") << name(mode) << ", count " << count;
      }
}

/// Not even looked at: ranks may give different ones.
TEST(Arguments, WhatACollectiveDoesNotTakeIsIgnored) {
  for (const Kind kind : {Kind::threads, Kind::processes}) {
    const auto outcomes =
        runRanks(kind, 2, optionsOf(Mode::p2p), [](Communicator& communicator, int rank) {
          std::vector<float> in(16, static_cast<float>(rank + 1)), out(16);
          for (std::size_t c = 0; c < kCollectives; ++c) {
            const auto collective = static_cast<Collective>(c);
            const Contract& contract = contractOf(collective);
            const auto reduction = contract.reduces
                                       ? Reduction::sum
                                       : static_cast<Reduction>(rank + int{kReductions} - 1);
            const int root = contract.rooted ? 0 : rank * 7;
            if (contract.hasData)
              communicator.run(collective, in.data(), out.data(), 8, DataType::f32, reduction,
                               root);
            else
              communicator.run(collective, nullptr, nullptr, 8 + static_cast<std::size_t>(rank),
                               static_cast<DataType>(rank + int{kDataTypes} - 1), reduction, root);
          }
          requireWorks(communicator);
        });
    EXPECT_EQ(failures(outcomes), "") << name(kind);
  }
}

/// Whatever integers cannot be multiplied by. What was given is as it was.
TEST(Arguments, BadFactorsLeaveTheCommunicatorUsable) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const auto outcomes =
      runRanks(Kind::processes, 2, optionsOf(Mode::p2p), [](Communicator& c, int) {
        std::vector<std::int32_t> data(16, 3);
        for (const double factor : {0.5, -0x1p31 - 1, 0x1p31, infinity, -infinity, std::nan("")}) {
          const PremultipliedSum sum{factor};
          const auto refuse = [&](Collective collective, auto call) {
            requireError(ErrorCode::invalidArgument,
                         fmt::format("{}: factor {} of a premultiplied sum; for i32 it is a whole",
                                     name(collective), factor),
                         call);
          };
          std::int32_t* const p = data.data();
          refuse(Collective::allReduce, [&] { c.allReduce(p, p, 8, DataType::i32, sum); });
          refuse(Collective::reduceScatter,
                 [&] { c.reduceScatter(p, p + 8, 4, DataType::i32, sum); });
          refuse(Collective::reduce, [&] { c.reduce(p, p, 8, DataType::i32, sum, 0); });
        }
        require(std::count(data.begin(), data.end(), 3) == 16, "multiplied before it was refused");
        requireWorks(c);
      });
  EXPECT_EQ(failures(outcomes), "");
}

/// Floats are multiplied by anything.
TEST(Arguments, FactorsOfFloatsMayBeInfinite) {
  const auto outcomes =
      runRanks(Kind::threads, 2, optionsOf(Mode::p2p), [](Communicator& c, int rank) {
        float value = 2;
        c.allReduce(&value, &value, 1, DataType::f32,
                    PremultipliedSum{rank == 0 ? HUGE_VAL : -3.0});
        require(value == HUGE_VALF, "not infinite");
        c.allReduce(&value, &value, 1, DataType::f32, PremultipliedSum{rank == 0 ? 0.0 : 1.0});
        require(std::isnan(value), "not a NaN");
      });
  EXPECT_EQ(failures(outcomes), "");
}

/// The factor is each rank's own affair, that there is one is not.
TEST(Arguments, ASumIsNotAPremultipliedSum) {
  for (const Mode mode : {Mode::p2p, Mode::cc}) {
    const auto outcomes =
        runRanks(Kind::processes, 2, optionsOf(mode), [](Communicator& c, int rank) {
          std::vector<float> data(300, 1);
          float* const p = data.data();
          c.allReduce(p, p, 300, DataType::f32, PremultipliedSum{rank + 2.0});
          require(data[299] == 5, "wrong sum");
          if (rank == 0)
            c.allReduce(p, p, 300, DataType::f32, PremultipliedSum{1});
          else
            c.allReduce(p, p, 300, DataType::f32);
        });
    const std::string texts = outcomes[0].text + outcomes[1].text;
    EXPECT_THAT(texts, ::testing::HasSubstr("called allreduce #2 (count 300, f32 premulsum)"));
    EXPECT_THAT(texts, ::testing::HasSubstr("called allreduce #2 (count 300, f32 sum)"));
  }
}

/// Ranks 0 and 1 call `usual`, rank 2 calls `other`, so that somebody waits for what never comes.
struct Disagreement {
  Collective usual, other;
  int usualRoot = 0, otherRoot = 0;
};

std::string textOf(Collective collective, int root) {
  const Contract& contract = contractOf(collective);
  if (!contract.hasData) return "barrier #2";
  return fmt::format("{} #2 (count 300, f32{}{})", name(collective), contract.reduces ? " sum" : "",
                     contract.rooted ? fmt::format(", root {}", root) : "");
}

TEST(Arguments, AnotherCollectiveOrRootIsNamedWithBothCalls) {
  const Disagreement disagreements[] = {
      {Collective::allGather, Collective::allToAll},
      {Collective::reduceScatter, Collective::allReduce},
      {Collective::allToAll, Collective::barrier},
      {Collective::broadcast, Collective::allGather},
      {Collective::gather, Collective::reduce, 0, 0},
      {Collective::scatter, Collective::broadcast, 1, 1},
      {Collective::broadcast, Collective::broadcast, 0, 1},
      {Collective::reduce, Collective::reduce, 0, 2},
      {Collective::gather, Collective::gather, 0, 2},
      {Collective::scatter, Collective::scatter, 0, 1},
  };
  for (const Kind kind : {Kind::threads, Kind::processes})
    for (const Mode mode : {Mode::p2p, Mode::cc})
      for (const Disagreement& d : disagreements) {
        SCOPED_TRACE(fmt::format("{}, {}: {} and {}", name(kind), name(mode),
                                 textOf(d.usual, d.usualRoot), textOf(d.other, d.otherRoot)));
        const Shared<std::atomic<int>> heard;
        const auto outcomes =
            runRanks(kind, 3, optionsOf(mode), [&](Communicator& communicator, int rank) {
              std::vector<float> in(900), out(900);
              communicator.barrier();
              try {
                const bool usual = rank != 2;
                callOf(communicator, usual ? d.usual : d.other, in.data(), out.data(), 300,
                       usual ? d.usualRoot : d.otherRoot)();
              } catch (const Error&) {
                ++*heard;
                throw;
              }
              // Whoever only sent is done. Somebody else waits, and hears of it.
              for (int i = 0; i < 20000 && heard->load() == 0; ++i)
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
              communicator.barrier();  // never
            });
        std::string texts;
        for (const Outcome& outcome : outcomes) {
          EXPECT_TRUE(outcome.code == ErrorCode::mismatch || outcome.code == ErrorCode::aborted)
              << describe(outcomes);
          if (outcome.code == ErrorCode::mismatch) texts += outcome.text;
        }
        EXPECT_THAT(texts, ::testing::HasSubstr("called " + textOf(d.usual, d.usualRoot)));
        EXPECT_THAT(texts, ::testing::HasSubstr("called " + textOf(d.other, d.otherRoot)));
      }
}

TEST(Arguments, BuffersThatTouchDoNotOverlap) {
  const auto outcomes =
      runRanks(Kind::threads, 2, optionsOf(Mode::p2p), [](Communicator& communicator, int) {
        std::vector<std::int32_t> data(20, 1);
        communicator.allReduce(data.data(), data.data() + 10, 10, DataType::i32);
        communicator.allReduce(data.data() + 10, data.data(), 10, DataType::i32);
        require(data[0] == 4 && data[9] == 4 && data[10] == 2, "wrong result");
      });
  EXPECT_EQ(failures(outcomes), "");
}

TEST(Arguments, KeysAreNotReplacedTooOften) {
  Options options = optionsOf(Mode::cc);
  for (const std::uint64_t bytes : {1, (1 << 20) - 1}) {
    options.rekeyBytes = bytes;
    requireError(ErrorCode::invalidArgument, "1 MiB",
                 [&] { static_cast<void>(Communicator::createInProcess(2, options)); });
  }
  options.rekeyBytes = 1 << 20;
  static_cast<void>(Communicator::createInProcess(2, options));
}

TEST(Arguments, NothingNeedsNoMemory) {
  const auto outcomes =
      runRanks(Kind::threads, 3, optionsOf(Mode::p2p), [](Communicator& communicator, int rank) {
        // Some ranks with and some without: count 0 moves nothing.
        std::int32_t value = 5;
        std::int32_t* data = rank == 1 ? nullptr : &value;
        communicator.allReduce(data, data, 0, DataType::i32);
        require(value == 5, "count 0 wrote something");
        requireWorks(communicator);
      });
  EXPECT_EQ(failures(outcomes), "");
}

// The root only sends: it is in the next call when its reader still waits for the rest of a longer
// message, and nothing that arrives will tell.
TEST(Arguments, ACallThatDiffersFromOneThatIsOverIsNamed) {
  for (const Mode mode : {Mode::p2p, Mode::cc}) {
    const auto outcomes =
        runRanks(Kind::processes, 2, optionsOf(mode), [](Communicator& comm, int rank) {
          std::vector<float> data(100);
          comm.broadcast(data.data(), data.data(), rank == 0 ? 8 : 100, DataType::f32, 0);
          comm.barrier();
        });
    EXPECT_EQ(outcomes[1].code, ErrorCode::mismatch) << outcomes[1].text;
    EXPECT_EQ(outcomes[1].blamed, 0);
    EXPECT_THAT(outcomes[1].text, ::testing::HasSubstr("broadcast #1 (count 100"));
  }
}

TEST(Arguments, AllocationsOfDifferentSizesAreNamedAndDoNoHarm) {
  for (const Kind kind : {Kind::threads, Kind::sockets, Kind::processes})
    for (const Mode mode : {Mode::p2p, Mode::cc}) {
      const auto outcomes =
          runRanks(kind, 3, optionsOf(mode), [](Communicator& communicator, int rank) {
            requireError(ErrorCode::mismatch, "ranks 0 and 1 for 4096 bytes, rank 2 for 8192 bytes",
                         [&] { communicator.alloc(rank == 2 ? 8192 : 4096); });
            requireWorks(communicator);
            const Buffer buffer = communicator.alloc(4096);
            require(buffer.size() == 4096 && buffer.data() != nullptr, "no buffer");
            for (std::size_t i = 0; i < buffer.size(); ++i)
              require(static_cast<std::byte*>(buffer.data())[i] == std::byte{0}, "not zeroed");
          });
      EXPECT_EQ(failures(outcomes), "") << name(kind) << ", " << name(mode);
    }
}

TEST(Arguments, ABufferMayOutliveItsCommunicator) {
  for (const Kind kind : {Kind::threads, Kind::processes}) {
    const auto outcomes = playRanks(kind, 1, [&](int) {
      Buffer buffer;
      {
        auto all = Communicator::createInProcess(1, optionsOf(Mode::p2p));
        buffer = all[0].alloc(100);
      }
      static_cast<char*>(buffer.data())[99] = 1;
    });
    EXPECT_EQ(failures(outcomes), "");
  }
}

/// Buffers come and go: ranks drop them at different times, and each call finds the right ones.
TEST(Arguments, BuffersMayBeDroppedByRanksAtDifferentTimes) {
  const auto outcomes =
      runRanks(Kind::processes, 2, optionsOf(Mode::p2p), [](Communicator& communicator, int rank) {
        std::vector<Buffer> kept;
        for (int i = 0; i < 40; ++i) {
          kept.push_back(communicator.alloc(40000));
          if (kept.size() > 1 && (i + rank) % 3 == 0) kept.erase(kept.begin());
          auto* data = static_cast<std::int32_t*>(kept.back().data());
          for (int k = 0; k < 10000; ++k) data[k] = rank + k;
          communicator.allReduce(data, data, 10000, DataType::i32);
          for (int k = 0; k < 10000; ++k) require(data[k] == 1 + 2 * k, "wrong result");
        }
      });
  EXPECT_EQ(failures(outcomes), "");
}

TEST(Arguments, ImpossibleWorldsAreRefused) {
  constexpr auto kBad = ErrorCode::invalidArgument;
  for (const int worldSize : {-1, 0, 65})
    requireError(kBad, "world size", [&] { Communicator::createInProcess(worldSize); });
  // In a process of its own, which the meeting point's thread does not outlive.
  const auto outcomes = playRanks(Kind::processes, 1, [&](int) {
    const UniqueId id = UniqueId::create();
    requireError(kBad, "rank 2", [&] { Communicator::create(id, 2, 2); });
    requireError(kBad, "rank -1", [&] { Communicator::create(id, -1, 2); });
    requireError(kBad, "world size", [&] { Communicator::create(id, 0, 65); });
    requireError(kBad, "", [] { UniqueId::parse("nonsense"); });
    requireError(kBad, "", [] { UniqueId::parse(""); });
  });
  EXPECT_EQ(failures(outcomes), "");
}

TEST(Arguments, ImpossibleOptionsAreRefused) {
  constexpr auto kBad = ErrorCode::invalidArgument;
  const auto refused = [&](const std::string& part, Mode mode, auto change) {
    Options options = optionsOf(mode);
    change(options);
    requireError(kBad, part, [&] { Communicator::createInProcess(2, options); });
  };
  refused("algorithm 'nonsense'", Mode::p2p, [](Options& o) { o.algorithm = "nonsense"; });
  refused("protocol 'nonsense'", Mode::p2p, [](Options& o) { o.protocol = "nonsense"; });
  refused("zero_copy", Mode::cc, [](Options& o) { o.protocol = "zero_copy"; });
  refused("zero_copy", Mode::p2p, [](Options& o) {
    o.algorithm = "ring";
    o.protocol = "zero_copy";
  });
  // There is a binomial broadcast, but nobody reads buffers in place by it.
  refused("broadcast: algorithm 'binomial' has no protocol 'zero_copy'", Mode::p2p, [](Options& o) {
    o.algorithm = "binomial";
    o.protocol = "zero_copy";
  });
  refused("no such mode (9)", Mode::p2p, [](Options& o) { o.mode = static_cast<Mode>(9); });
  refused("tuning file", Mode::p2p, [](Options& o) { o.tuningFile = "/nowhere/at/all.json"; });
  refused("timeout", Mode::p2p, [](Options& o) { o.timeout = std::chrono::milliseconds(0); });
  refused("psk", Mode::cc, [](Options& o) { o.psk.clear(); });
  EXPECT_THROW(
      {
        Options options = optionsOf(Mode::cc);
        options.cipher = "rot13";
        Communicator::createInProcess(2, options);
      },
      Error);
}

}  // namespace
}  // namespace lockstep::testing
