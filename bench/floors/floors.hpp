// The registry of floors: hand-made loops (f32, sum) of all-reduce, and of the collectives that
// transfer.hpp names, that show what this machine can do at all. Every ratio of Lockstep's is
// measured against the best of them.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/floors/pair.hpp"
#include <lockstep/types.hpp>

namespace lockstep::floors {

/// What a caller offers, and so what a floor may use.
enum class Group {
  registered,  ///< both ranks' buffers lie in shared memory: read and written in place
  ordinary,    ///< private buffers: process_vm_readv, or copies through shared slots
  sealed,      ///< private buffers, and only AES-256-GCM ciphertext in shared memory
};
const char* name(Group group);

/// One way to do a collective, made ready. All ranks call `run` with the same counts in the same
/// order.
class Loop {
 public:
  virtual ~Loop() = default;
  /// The collective, in blocks of `count` elements (at most what it was made for), as Lockstep does
  /// it; of all-reduce out[i] = the sum of all in[i]. The buffers are page aligned and do not
  /// overlap. Returns when `out` is complete and `in` may be written.
  virtual void run(const float* in, float* out, std::size_t count) = 0;
};

template <class Ranks>
struct FloorOf {
  std::string name;
  Group group;
  /// Sizes at which it can win; it is not tried at others. Bytes, both inclusive.
  std::size_t minBytes, maxBytes;
  /// All ranks at once; `maxCount` elements at most in a run.
  std::function<std::unique_ptr<Loop>(Ranks&, std::size_t maxCount)> make;
};
using Floor = FloorOf<Pair>;
using TeamFloor = FloorOf<Team>;

std::vector<Floor> registeredFloors();
std::vector<Floor> ordinaryFloors();
std::vector<Floor> sealedFloors();
/// Of all-reduce by any number of ranks, which may share cores.
std::vector<TeamFloor> sealedTeamFloors();
/// Of broadcast (root 0), allGather, allToAll or reduceScatter; not sealed.
std::vector<Floor> transferFloors(Group group, Collective op);

/// LL one-shot and slot floors, which suit private and registered buffers alike.
std::vector<Floor> eagerFloors(Group group);

/// What a side of the pair must hold for the slots and lines of all floors of a group. Bytes.
inline constexpr std::size_t kSlotRoom = std::size_t{64} << 20;

}  // namespace lockstep::floors
