// Calls of the collectives with blocks or a root, and a rank's part in them.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <lockstep/lockstep.hpp>

namespace lockstep::testing {

/// One call, as every rank makes it.
struct BlockTrial {
  Collective collective = Collective::allGather;
  std::size_t count = 0;  ///< of a block
  DataType type = DataType::i32;
  Reduction reduction = Reduction::sum;  ///< all but prod
  int root = 0;
  bool inPlace = false, registered = false;
  std::size_t misalignment = 0;  ///< bytes past a cache line at which the larger buffer begins

  std::string name() const;
};

/// A rank that makes one call after another. Throws what is wrong.
class BlockRunner {
 public:
  /// Collective: allocates registered memory. No block is larger than `mostBytes`.
  BlockRunner(Communicator& communicator, std::size_t mostBytes);

  /// Collective. Checks the result, the memory around it, and that `in` is as it was.
  void run(const BlockTrial& trial);

 private:
  std::vector<std::byte> inputOf(const BlockTrial& trial, int blocks) const;
  std::vector<std::byte> expectedOf(const BlockTrial& trial, int blocks) const;

  Communicator& communicator_;
  int rank_, world_;
  std::size_t room_;  ///< bytes of an arena for one buffer
  Buffer registered_;
  std::vector<std::byte> ordinary_;
};

}  // namespace lockstep::testing
