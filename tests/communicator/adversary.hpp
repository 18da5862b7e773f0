// Somebody who writes to the shared memory while ranks work, and what ranks may make of that.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <random>
#include <thread>
#include <vector>

#include <lockstep/lockstep.hpp>

namespace lockstep::testing {

/// Strikes again and again, in a thread of his own, while this lives.
class Adversary {
 public:
  using Strike = std::function<void(std::mt19937& random)>;
  Adversary(std::uint32_t seed, Strike strike);
  ~Adversary();
  Adversary(const Adversary&) = delete;
  Adversary& operator=(const Adversary&) = delete;

 private:
  std::atomic<bool> over_{false};
  std::thread thread_;
};

/// A byte of some message of these segments. Not the flags: a changed one may also just be waited
/// for.
void flipSomewhere(const std::vector<std::byte*>& segments, int worldSize, std::mt19937& random);

/// All-reduces of three ranks, of i32 or f32, while somebody flips bytes all over the channels:
/// calls must go right until one fails, in each rank by integrity or aborted, or by what `mayBe`
/// says. Returns how many ranks noticed by integrity.
int sumUntilNoticed(
    Mode mode, DataType type, std::size_t count, std::uint32_t seed,
    const std::function<bool(ErrorCode)>& mayBe = [](ErrorCode) { return false; });

}  // namespace lockstep::testing
