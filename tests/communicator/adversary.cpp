#include "communicator/adversary.hpp"

#include <chrono>
#include <utility>

#include <gtest/gtest.h>

#include "communicator/segments.hpp"
#include "support/shared_segments.hpp"
#include "support/world.hpp"
#include "transport/shm/segment.hpp"

namespace lockstep::testing {

Adversary::Adversary(std::uint32_t seed, Strike strike)
    : thread_([this, seed, strike = std::move(strike)] {
        std::mt19937 random(seed);
        while (!over_) {
          strike(random);
          if (random() % 16 == 0) std::this_thread::sleep_for(std::chrono::microseconds(10));
        }
      }) {}

Adversary::~Adversary() {
  over_ = true;
  thread_.join();
}

void flipSomewhere(const std::vector<std::byte*>& segments, int worldSize, std::mt19937& random) {
  const auto channels = static_cast<unsigned>(worldSize) + 1;
  shm::OutArea& area = areaOf(segments[random() % segments.size()], worldSize,
                              static_cast<int>(random() % channels));
  const std::size_t slot = random() % shm::kSlots;
  if (random() % 2 == 0)
    flip(area.payload[slot].data() + random() % shm::kSlotStride);
  else
    flip(area.lines[slot][random() % 2].data.data() + random() % shm::kFirstLineBytes);
}

namespace {

/// Sums without end. Every element is a small whole number, in either type.
template <class T>
void sumForEver(Communicator& comm, int rank, DataType type, std::size_t count) {
  std::vector<T> in(count), out(count);
  for (int call = 0;; ++call) {
    for (std::size_t i = 0; i < count; ++i)
      in[i] = static_cast<T>(static_cast<int>(i) * (rank + 1) + call);
    comm.allReduce(in.data(), out.data(), count, type);
    for (std::size_t i = 0; i < count; ++i)
      require(out[i] == static_cast<T>(static_cast<int>(i) * 6 + call * 3),
              "a wrong result was released");
  }
}

}  // namespace

int sumUntilNoticed(Mode mode, DataType type, std::size_t count, std::uint32_t seed,
                    const std::function<bool(ErrorCode)>& mayBe) {
  constexpr int kWorld = 3;
  auto communicators = Communicator::createInProcess(kWorld, optionsOf(mode));
  const auto segments = Segments::mapped().writable;
  std::vector<Outcome> outcomes;
  {
    const Adversary adversary(
        seed, [&](std::mt19937& random) { flipSomewhere(segments, kWorld, random); });
    outcomes = playRanks(Kind::threads, kWorld, [&](int rank) {
      // Not the rank's own: its segment must outlive the adversary.
      Communicator& mine = communicators[static_cast<std::size_t>(rank)];
      type == DataType::i32 ? sumForEver<std::int32_t>(mine, rank, type, count)
                            : sumForEver<float>(mine, rank, type, count);
    });
  }
  int noticed = 0;
  for (const Outcome& outcome : outcomes) {
    noticed += outcome.code == ErrorCode::integrity ? 1 : 0;
    EXPECT_TRUE(outcome.code == ErrorCode::integrity || outcome.code == ErrorCode::aborted ||
                (outcome.code && mayBe(*outcome.code)))
        << describe(outcomes);
  }
  return noticed;
}

}  // namespace lockstep::testing
