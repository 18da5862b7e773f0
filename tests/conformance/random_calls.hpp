// Calls of any collective drawn from a seed, what they must give, and a rank's part in them.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <lockstep/lockstep.hpp>

namespace lockstep::testing {

class Draw {
 public:
  explicit Draw(std::uint64_t seed) : random_(seed) {}
  std::uint64_t seed() { return random_(); }
  std::size_t below(std::size_t n) { return random_() % n; }
  bool chance(std::size_t in) { return below(in) == 0; }
  template <class T>
  T of(std::initializer_list<T> choices) {
    return choices.begin()[below(choices.size())];
  }

 private:
  std::mt19937_64 random_;
};

/// One call, as every rank makes it, and now and then an exchange of transfers with it. What each
/// rank decides for itself (memory, alignment, in place, how late it is, whether it waits for each
/// or has them in a Group) it draws from the seed and its number.
struct RandomCall {
  Collective collective = Collective::allReduce;
  std::size_t count = 0;  ///< of a block
  DataType type = DataType::f32;
  Reduction reduction = Reduction::sum;
  int root = 0;
  std::uint64_t seed = 0;

  std::string name() const;
};

/// What is drawn from.
struct Limits {
  int worldSize = 1;
  std::size_t mostBytes = 0;         ///< of the larger buffer
  std::vector<std::size_t> borders;  ///< bytes where something begins anew: tiles, records, lines
};
RandomCall drawCall(Draw& draw, const Limits& limits);

/// What every rank brings to a call, and what it must get. Made once; ranks share it.
struct Known {
  using Bytes = std::vector<std::byte>;
  std::vector<Bytes> inputs;      ///< by rank; empty: it has no `in`
  std::vector<Bytes> expected;    ///< by rank; empty: no `out`. Reductions: in the order of ranks
  std::vector<double> near;       ///< reductions of floats: in f64, of all blocks
  std::vector<double> tolerance;  ///< of `near`, for any order
};
Known knownOf(const RandomCall& call, int worldSize);

/// How many have entered barriers, as all ranks see it. In Shared memory where these are processes.
struct Entered {
  std::atomic<std::uint64_t> ranks{0};
};

/// A rank of a communicator that makes one call after another. Throws what is wrong.
class Caller {
 public:
  /// Collective: allocates registered memory for buffers of up to `mostBytes`.
  Caller(Communicator& communicator, Entered& entered, std::size_t mostBytes);
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;

  /// Collective. Checks the result, the memory around it, and that `in` is as it was.
  void make(const RandomCall& call, const Known& known);

 private:
  struct Operands {
    std::byte *in = nullptr, *out = nullptr;
    bool inPlace = false;
  };
  Operands place(const RandomCall& call, const Known& known, Draw& own);
  void call(const RandomCall& call, const Operands& operands, Draw& own);
  std::byte* memory(int which, Draw& own, std::size_t element);
  void barrier();
  void check(const RandomCall& call, const Known& known, const std::byte* out);
  bool inRankOrder(const RandomCall& call) const;
  void requireAgreement(const RandomCall& call, const std::byte* out);

  Communicator& communicator_;
  Entered& entered_;
  std::size_t rank_, world_, mostBytes_, room_;
  std::uint64_t barriers_ = 0;
  Buffer registered_[4];  ///< of the call, and of the exchange
  std::vector<std::byte> ordinary_[4];
};

/// A communicator's life: how it is made, and the calls on it. All of it follows from the seed.
struct Session {
  std::uint64_t seed = 0;
  int worldSize = 1;
  bool processes = false, sockets = false;
  Options options;     ///< but for the tuning file
  std::string tuning;  ///< contents of the tuning file; empty: none
  std::size_t mostBytes = 0;
  std::vector<RandomCall> calls;

  std::string name() const;
};
Session drawSession(std::uint64_t seed, std::size_t calls);

/// Plays it. Empty, or what went wrong, with the seed.
std::string failureOf(const Session& session);

}  // namespace lockstep::testing
