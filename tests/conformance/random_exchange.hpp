// Transfers between all ranks, drawn from a seed that all know: an all-to-all-v with counts of any
// kind, beside a collective.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <lockstep/lockstep.hpp>

namespace lockstep::testing {

class RandomExchange {
 public:
  /// This rank's part. `in` and `out`: memory for `mostBytes` and a guard on either side each;
  /// where the parts lie there is `own` to this rank.
  RandomExchange(std::uint64_t seed, const Communicator& communicator, std::size_t mostBytes,
                 std::byte* in, std::byte* out, std::uint64_t own);

  /// Collective.
  void make(Communicator& communicator) const;
  void add(Group& group, const Communicator& communicator) const;
  /// Throws unless every part has come, and nothing else was written.
  void check() const;

 private:
  struct Parts {
    std::vector<std::size_t> counts, offsets;  ///< by rank, in elements
    std::size_t end = 0;
  };
  std::vector<std::byte> partOf(std::size_t from, std::size_t to, std::size_t count) const;

  std::uint64_t seed_;
  std::size_t rank_, world_;
  DataType type_;
  Parts sent_, received_;
  std::byte *in_, *out_;
};

}  // namespace lockstep::testing
