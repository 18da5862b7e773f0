// Ranks that one thread steps, so that an attacker strikes exactly between what one rank writes and
// what another reads.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "attack/shared_view.hpp"
#include "attack/witness_aead.hpp"
#include "bootstrap/peers.hpp"
#include "cc_mode/keys/key_ring.hpp"
#include "executor/host/run.hpp"
#include "executor/host/transfer.hpp"
#include <lockstep/error.hpp>

namespace lockstep::testing {

/// What ranks do: a collective, or, without an algorithm, each sends to the next rank.
struct Scene {
  const schedule::Algorithm* algorithm = nullptr;
  Mode mode = Mode::cc;
  int world = 2, root = 0;
  shm::Protocol protocol = shm::Protocol::ll;
  std::size_t tileBytes = 0;
  std::size_t count = 1;  ///< of u32
  int depth = 1;
};
std::string_view name(shm::Protocol protocol);
std::string toString(const Scene& scene);

/// A message that a rank has written, as it was.
struct Message {
  Spot at;
  shm::Step step = 0;
  int call = 0;
  std::size_t plain = 0;  ///< bytes of payload; the tags of its records follow
  Bytes content;
};

/// What became of a rank in a call. What nobody can end by a step is for a deadline to end.
enum class Fate : std::uint8_t {
  right,
  wrong,    ///< returned with a result that is not the call's
  tainted,  ///< failed, and left in `out` what nobody sent
  failed,
  stalled,
};

struct Keys {
  unsigned salt = 0;  ///< which communicator's
  bool aged = false;  ///< of the next epoch
};

class SteppedWorld {
 public:
  explicit SteppedWorld(int world);
  ~SteppedWorld();

  /// As if it had just been created; everything shared and all counters at zero.
  void renew(const Scene& scene, Keys keys, TagCheck check = TagCheck::on);
  /// Begins the next call on all ranks.
  void begin();

  /// After each step: which rank it was, and what it has written. Returns true if something was
  /// changed, so that ranks that wait may look again.
  using Hook = std::function<bool(int rank, const std::vector<Message>& written)>;
  /// Steps ranks in an order drawn from `random` until each has ended or none can go on.
  std::vector<Fate> drive(std::mt19937& random, const Hook& hook = {});
  /// A call that nobody attacks. Throws if it does not go right on all ranks.
  void playUntouched(std::mt19937& random);
  /// One step of a rank that has not ended.
  void step(int rank);
  /// The word that a rank waited for when it last could not go on; null if it did.
  const shm::Word* awaited(int rank) const;
  bool ended(int rank) const;
  /// Of those that failed.
  const std::vector<ErrorCode>& errors() const { return errors_; }

  const SharedView& view() const { return *view_; }
  /// All messages since renew, in the order in which they were written.
  const std::vector<Message>& history() const { return history_; }
  int forged() const { return witness_.forged; }
  /// Written, and not consumed by all its readers.
  bool isPending(const Message& message) const;
  std::vector<int> readersOf(const Spot& at) const;
  /// The next message that a reader will read there.
  shm::Step nextRead(const Spot& at, int reader) const;
  /// Whose flag a word is; nothing if it is none.
  std::optional<Spot> spotOf(const shm::Word* flag) const;

 private:
  struct Rank;
  void clear();
  void addKeys(Rank& rank, int me, Keys keys) const;
  void beginCall(Rank& rank, int me) const;
  void beginTransfers(Rank& rank, int me) const;
  std::vector<Message> look(int writer);
  std::optional<std::size_t> plainBytes(const Spot& at) const;
  std::uint32_t wanted(int rank, std::size_t at) const;
  bool isRight(int rank) const;
  bool isTainted(int rank) const;

  Scene scene_;
  Witness witness_;
  std::shared_ptr<const cc::Aead> aead_;
  std::vector<std::unique_ptr<Peers>> ends_;
  std::vector<std::unique_ptr<Rank>> ranks_;
  std::optional<SharedView> view_;
  std::vector<Message> history_;
  std::vector<ErrorCode> errors_;
  int call_ = 0;
};

}  // namespace lockstep::testing
