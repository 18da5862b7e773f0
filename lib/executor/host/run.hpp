// Runs a plan: a resumable interpreter. `step` does what can be done now and says whether the call
// is done; what it waits for is a word of shared memory with a rank's name on it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/mapping.hpp"
#include "executor/host/plan.hpp"
#include "executor/host/records.hpp"
#include "executor/host/wait.hpp"
#include "transport/shm/call.hpp"
#include "transport/shm/fabric.hpp"
#include "transport/shm/regions.hpp"
#include "transport/shm/transfer_stamp.hpp"
#include <lockstep/communicator.hpp>

namespace lockstep::host {

/// What a run needs of its communicator; the same for all its runs.
struct Surroundings {
  shm::Fabric& fabric;
  shm::Regions& regions;
  Doorbell& doorbell;
  std::vector<pid_t> pids;         ///< by rank, for process_vm_readv
  std::vector<int> pidfds;         ///< of the same, or -1
  bool sameProcess = false;        ///< ranks are threads: addresses mean the same everywhere
  std::size_t streamingBytes = 0;  ///< messages this large are written past the cache
  /// As streamingBytes, for slots, which another core reads next. Between Zen 4 cores without a
  /// common cache a line that is modified in one takes the other 30 ns (2 GB/s), and comes four
  /// times faster from memory; cores with a common cache, and Intel's, are better off with the
  /// cache (bench/floors). So it is measured: communicator/measure.cpp.
  std::size_t slotStreamingBytes = kNeverStream;
  static constexpr std::size_t kNeverStream = ~std::size_t{0};
  const cc::Aead* aead = nullptr;  ///< sealed modes
  /// Sealed modes: the plan of a call that somebody says a peer makes, or nullptr if nobody can
  /// make that. It lives as long as the communicator. Throws for what cannot be planned.
  std::function<const Plan*(const shm::CallDescription&)> planOf{};
};

/// The arguments of one call.
struct Call {
  const void* in = nullptr;
  void* out = nullptr;
  std::size_t count = 0;  ///< elements of a block
  shm::CallDescription what;
  std::uint64_t fingerprint = 0;  ///< of `what`
  shm::Location inAt, outAt;      ///< where others find my buffers, when a plan exposes them
  /// They can be read in place; told to whoever gets my messages.
  bool direct() const {
    return inAt.region != shm::Location::kAddress && outAt.region != shm::Location::kAddress;
  }
};

enum class Progress : std::uint8_t { done, some, none, fallBack };

class Run {
 public:
  explicit Run(Surroundings surroundings);

  /// Starts a call; `plan` and `call` outlive it, and a plan is known by its address.
  /// `fallBackUnlessDirect`: after the ranks have exposed their buffers, and before any is touched,
  /// step() returns fallBack (on every rank alike) if a buffer cannot be read in place.
  void begin(const Plan& plan, const Call& call, bool fallBackUnlessDirect);
  /// Does what can be done. Throws mismatch or integrity; the communicator must then be poisoned.
  Progress step();
  /// After Progress::none: what it waits for.
  const shm::Awaited& awaited() const { return awaited_; }
  /// The last step() said fallBack.
  bool fellBack() const { return fellBack_; }
  /// After Progress::done, in the clear: the buffers of every rank that I heard of can be read in
  /// place. If the plan hears from all ranks, all ranks say the same.
  bool allDirect() const { return allDirect_; }
  /// The same of one rank: its two buffers were one. Nothing if none were exposed.
  std::optional<bool> exposedInPlace(int rank) const;
  const Counters& counters() const { return counters_; }
  // For Transfers, which runs between calls.
  const Surroundings& surroundings() const { return env_; }
  RecordSealer& sealer() { return sealer_; }
  Counters& counters() { return counters_; }
  void forgetCounters() { counters_ = {}; }
  /// Was what lies in `step` of a channel sealed by a rank that makes the call `theirs`? Opens it
  /// under the name it would then have, and wipes what comes out. `first`: the step with which that
  /// call began. `nonces`: the first nonce of that call under each key.
  bool wasSealedIn(const shm::CallDescription& theirs, const shm::InChannel& channel,
                   shm::Step step, shm::Step first,
                   const std::function<std::uint64_t(cc::LiveKey&)>& nonces);
  /// Which call, of those that `rank` is said to have made where it differs from me, it was.
  std::optional<shm::CallDescription> sealedInCallOf(
      int rank, const shm::InChannel& channel, shm::Step step, shm::Step first,
      const std::function<std::uint64_t(cc::LiveKey&)>& nonces);
  /// The same of a message of `bytes` whose first record has this name and nonce.
  bool opens(const shm::InChannel& channel, shm::Step step, std::size_t bytes, cc::LiveKey& key,
             std::uint64_t nonce, const RecordName& name);
  // With which step of a channel, and nonce of a key, the call under way began, or would have.
  shm::Step firstStep(shm::InChannel& channel);
  std::uint64_t firstNonce(const cc::LiveKey& key) const;
  /// What a rank has sent me that I should have received before the call under way, if anything.
  using SentBy = std::function<std::optional<shm::TransferDescription>(int rank)>;
  /// Whom to ask that when a record does not verify.
  void askOfSends(SentBy sentBy) { sentBy_ = std::move(sentBy); }
  /// Messages this large are written past the cache when they go into slots.
  void streamSlotsFrom(std::size_t bytes) { env_.slotStreamingBytes = bytes; }

 private:
  /// A peer's buffers during an exposure.
  struct View {
    std::byte* in = nullptr;  ///< nullptr: only by cross-memory attach
    std::byte* out = nullptr;
    shm::Location inAt, outAt;  ///< what the peer said of them
    /// What has been checked: so many blocks of so many bytes.
    std::array<std::uint32_t, 2> blocks{};
    std::size_t blockBytes = 0;
    std::uint64_t edition = 0;  ///< of the regions when it was
  };
  /// A tile in flight.
  struct Context {
    std::uint64_t tile = 0;
    std::size_t elements = 0, chunkElements = 0, firstElement = 0;
    std::array<std::uint32_t, kMaxLanes> at{};  ///< next op of each lane
    std::byte* scratch = nullptr;
  };
  void takeSteps();
  void takeNonces();
  void turnKeys();
  std::size_t chunkElements(std::size_t elements);
  void startTile();
  void giveScratch(Context& context);
  Progress stepEager();
  std::byte* wholeBlock(const Term& term, std::size_t bytes) const;
  bool sendEager(std::size_t bytes, std::size_t onWire);
  bool eagerArrived(std::size_t onWire);
  void takeEager(const PlanOp& op, std::size_t bytes, std::size_t onWire);
  void finishEager(std::size_t bytes, std::size_t onWire);
  void checkStamp(const shm::InChannel& channel, shm::Step step);
  bool advance(Context& context);
  bool attempt(Context& context, const PlanOp& op);
  bool ready(const Context& context, const PlanOp& op);
  void move(Context& context, const PlanOp& op, std::size_t bytes);
  void reduceInto(const PlanOp& op, void* const* dst, std::size_t dsts, const void* const* src,
                  std::size_t bytes, bool streaming) const;
  void writeLines(const Context& context, const PlanOp& op, const std::byte* data,
                  std::size_t bytes);
  std::uint64_t remoteTerms(const PlanOp& op) const;
  std::byte* freshDestination(const Context& context, const PlanOp& op) const;
  void moveInBlocks(Context& context, const PlanOp& op, std::size_t bytes);
  void moveSealed(Context& context, const PlanOp& op, std::size_t bytes);
  void forwardSealed(Context& context, const PlanOp& op, std::size_t bytes);
  void complete(Context& context, const PlanOp& op, std::size_t bytes);
  bool expose();
  bool acquire();
  const View& view(int rank);
  std::byte* find(int rank, shm::Location where, std::size_t bytes) const;
  bool finished(const Context& context) const;
  void release();
  bool close();

  std::size_t begins(const Context& context, const Term& term) const;
  static std::size_t bytesOf(const Plan& plan, const Context& context, const PlanOp& op);
  std::size_t bytesOf(const Context& context, const PlanOp& op) const {
    return bytesOf(*plan_, context, op);
  }
  std::byte* local(const Context& context, const Term& term) const;
  std::byte* remote(const Context& context, const Term& term) const;
  shm::ConstSharedBytes arrived(const Context& context, const Term& term, std::size_t bytes,
                                std::size_t place);
  shm::Step inStep(const Context& context, const Term& term) const;
  shm::Step outStep(const Context& context, const Term& term) const;
  const std::byte* sealRecord(const Context& context, const Term& term, std::uint32_t record,
                              const std::byte* plain, std::size_t bytes);
  void openRecord(const Context& context, const Term& term, std::uint32_t record, std::size_t bytes,
                  std::byte* plain);
  [[noreturn]] void refuse(const Context& context, const Term& term, std::uint32_t record);
  std::string mismatchWith(int rank, std::uint64_t stamp = 0) const;
  std::string meetsSend(int rank, const shm::TransferDescription& sent) const;
  shm::CallDescription mineLike(const shm::CallDescription& theirs) const;
  RecordName recordName(const Context& context, const Term& term, std::uint32_t record) const;
  std::uint64_t nonce(const Context& context, const Term& term, std::uint32_t record) const;
  int divisorOf(const PlanOp& op) const { return op.finish ? plan_->divisor : 1; }
  std::byte* staging(std::size_t place, std::size_t bytes);

  Surroundings env_;
  Counters counters_;
  shm::Awaited awaited_;

  const Plan* plan_ = nullptr;
  const Call* call_ = nullptr;
  bool fallBackUnlessDirect_ = false, fellBack_ = false, allDirect_ = false;
  std::uint64_t stamp_ = 0;  ///< what my messages carry: fingerprint and kDirect
  bool eager_ = false, eagerSent_ = false;
  static constexpr std::size_t kNoElements = ~std::size_t{0};
  std::size_t cutElements_ = kNoElements, cutChunk_ = 0;  ///< see chunkElements
  std::uint64_t tiles_ = 0, nextTile_ = 0, firstTile_ = 0;
  std::array<Context, kMaxDepth> contexts_;
  std::vector<shm::Step> outBase_, inBase_;
  std::vector<std::uint64_t> nonceBase_;
  std::uint64_t turnsAt_ = cc::LiveKey::kNever;  ///< first tile that is another epoch's, of any key
  Mapping scratch_;
  std::vector<Mapping> staging_;
  RecordSealer sealer_;
  SentBy sentBy_;

  std::uint64_t epoch_ = 0;  ///< exposures so far
  bool closed_ = true;       ///< the last exposure has been closed
  std::vector<View> views_;
};

}  // namespace lockstep::host
