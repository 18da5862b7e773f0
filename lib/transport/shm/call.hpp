// What a rank is calling, as others may read it: to name a mismatch, and to say who is late with
// what. In sealed communicators lines are anybody's word: they say what to try, and never that it
// is so.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "transport/shm/segment.hpp"
#include <lockstep/types.hpp>

namespace lockstep::shm {

/// The arguments of a call that all ranks must agree on.
struct CallDescription {
  std::uint64_t sequence = 0;  ///< 1 for a communicator's first call
  Collective collective = Collective::allReduce;
  DataType type = DataType::f32;
  Reduction reduction = Reduction::sum;
  std::uint64_t count = 0;  ///< elements of a block
  int root = 0;
  friend bool operator==(const CallDescription&, const CallDescription&) = default;
};

/// 63 bits that differ, but for accidents of 2^-63, when the calls differ. The lowest bit is 0: a
/// message carries its sender's kDirect there.
inline constexpr std::uint64_t kDirect = 1;  ///< the sender's buffers can be read in place
std::uint64_t fingerprint(const CallDescription& call);
/// The part of it that equal calls share, and the rest: for callers that keep the first.
std::uint64_t shapeHash(const CallDescription& call);
constexpr std::uint64_t fingerprint(std::uint64_t shapeHash, std::uint64_t sequence) {
  // 2^64 / golden ratio, made odd: consecutive sequences are far apart, and no two are equal.
  return (shapeHash + sequence * 0x9e3779b97f4a7c15ULL) & ~kDirect;
}
/// "allreduce #17 (count 8, f32 sum)"
std::string toString(const CallDescription& call);

/// Writes my line. No other rank's progress depends on it.
void announce(CallLine& line, const CallDescription& call);
/// Reads a peer's line: its latest call. Nothing if it is being written, or is not a call at all.
std::optional<CallDescription> read(const CallLine& line);
/// Its call of that number. Nothing either if there was none yet, or kCallsKept have followed.
std::optional<CallDescription> read(const CallLine& line, std::uint64_t sequence);

/// What all ranks tell each other outside of calls.
enum class Talk : std::uint8_t { alloc, split, duplicate, retune };

/// While this lives, the others can see that this rank takes part in one.
class Talking {
 public:
  Talking(CallLine& mine, Talk talk);
  ~Talking();
  Talking(const Talking&) = delete;
  Talking& operator=(const Talking&) = delete;

 private:
  CallLine& line_;
  std::uint64_t before_;  ///< talks that have ended
};
/// The one that a peer takes part in and this rank has not begun: "alloc".
std::optional<std::string_view> talkAhead(const CallLine& theirs, const CallLine& mine);

/// Two calls of one number.
struct Difference {
  CallDescription theirs, mine;
};
/// The first call in which two ranks differ, of those that both lines still tell.
std::optional<Difference> firstDifference(const CallLine& theirs, const CallLine& mine);

/// What the errors of sealed communicators add where lines alone say so.
inline constexpr std::string_view kHearsay =
    " (that is what shared memory says, where others can write: no sealed record has shown it)";

/// "rank 3 called allreduce #17 (count 7, f32 sum), rank 0 called allreduce #17 (count 8, f32 sum)"
std::string mismatchText(int rank, const std::optional<CallDescription>& theirs, int me,
                         const CallDescription& mine);
/// The same where it is not known which of their calls differ: as the lines say.
std::string mismatchText(int rank, const CallLine& theirs, int me, const CallLine& myLine,
                         const CallDescription& mine);

}  // namespace lockstep::shm
