// What a caller can get wrong: an error that says what, and a communicator that lives on.
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <fmt/format.h>
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
  requireError(kBad, "data type (10)", reduce(a.data(), b.data(), 1, static_cast<DataType>(10)));
  requireError(kBad, "reduction (5)",
               reduce(a.data(), b.data(), 1, DataType::f32, static_cast<Reduction>(5)));
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
