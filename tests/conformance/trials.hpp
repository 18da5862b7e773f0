// All-reduces with known results, and a rank's part in them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <lockstep/lockstep.hpp>

namespace lockstep::testing {

/// By element, how far a reduction of the sources in any order may be from `near`, which is that in
/// f64 (foldInDouble); infinite where another order may overflow or underflow on its way.
std::vector<double> orderTolerances(DataType type, Reduction reduction,
                                    const std::vector<const void*>& sources, std::size_t count,
                                    const void* near);

/// Where buffers lie, and whether `out` is `in`. Ranks may differ: nothing of it shows in messages.
enum class Placement : std::uint8_t { no, yes, byRank };

/// One call, what every rank brings to it, and what it must give.
struct Trial {
  std::size_t count = 0;
  DataType type = DataType::f32;
  Reduction reduction = Reduction::sum;
  Placement inPlace = Placement::no;
  Placement registered = Placement::no;
  bool registeredOut = true;     ///< false: only `in` is ever registered
  std::size_t misalignment = 0;  ///< bytes past a cache line at which buffers begin
  /// Values that any order of reduction gives the same bits for.
  bool exact = false;
  std::vector<std::vector<std::byte>> inputs;  ///< by rank
  std::vector<double> factors;                 ///< by rank, of preMulSum
  std::vector<std::byte> expected;             ///< folded in rank order
  std::vector<std::byte> near;                 ///< folded in f64, where not exact
  std::vector<double> tolerance;               ///< by element, for other orders; where not exact

  std::size_t bytes() const { return count * sizeOf(type); }
  std::string name() const;
};

/// Every (type, reduction) once with counts that rotate through the awkward ones, and `large`
/// counts with a few of them. The same for the same arguments.
std::vector<Trial> makeTrials(int worldSize, const std::vector<std::size_t>& small,
                              const std::vector<std::size_t>& large);

/// A rank that runs trials on its communicator. Throws what is wrong.
class TrialRunner {
 public:
  /// Collective: allocates registered memory. `rankOrder`: results must be the reference's bits.
  TrialRunner(Communicator& communicator, bool rankOrder, std::size_t mostBytes);

  /// Collective. Checks the result, the memory around it, and that `in` is as it was.
  void run(const Trial& trial);

 private:
  void allReduce(const Trial& trial, const std::byte* in, std::byte* out);
  void check(const Trial& trial, const std::byte* out) const;
  void checkAgreement(const std::byte* out, std::size_t bytes);

  Communicator& communicator_;
  bool rankOrder_;
  Buffer registered_;
  std::vector<std::byte> ordinary_;
  std::size_t half_;  ///< bytes of an arena for `in`, and for `out`
};

}  // namespace lockstep::testing
