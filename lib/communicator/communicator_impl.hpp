// One rank of a communicator: owns everything, knows how the parts go together.
#pragma once

#include <array>
#include <atomic>
#include <bitset>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "base/secret.hpp"
#include "bootstrap/peers.hpp"
#include "cc_mode/keys/key_ring.hpp"
#include "cc_mode/keys/lineage.hpp"
#include "communicator/cause.hpp"
#include "communicator/control.hpp"
#include "communicator/family.hpp"
#include "communicator/masked.hpp"
#include "communicator/pending.hpp"
#include "communicator/premultiply.hpp"
#include "communicator/progress_thread.hpp"
#include "communicator/transcript.hpp"
#include "communicator/tuning.hpp"
#include "communicator/watch.hpp"
#include "executor/host/plan.hpp"
#include "executor/host/run.hpp"
#include "executor/host/transfer.hpp"
#include "executor/host/wait.hpp"
#include "transport/shm/fabric.hpp"
#include "transport/shm/open_buffers.hpp"
#include "transport/shm/regions.hpp"
#include <lockstep/communicator.hpp>

namespace lockstep {

class CommunicatorImpl {
 public:
  /// Collective. `options` with the environment already applied. A child has its parent's tuning.
  CommunicatorImpl(std::unique_ptr<Peers> peers, Options options, Deadline deadline,
                   const CommunicatorImpl* parent = nullptr);
  ~CommunicatorImpl();

  static Communicator wrap(std::shared_ptr<CommunicatorImpl> impl) {
    return Communicator(std::move(impl));
  }

  int rank() const { return fabric_.rank(); }
  int worldSize() const { return fabric_.worldSize(); }
  const Options& options() const { return options_; }

  /// Throws invalidArgument for one that was moved from.
  static const std::shared_ptr<CommunicatorImpl>& of(const Communicator& communicator) {
    if (communicator.impl_ == nullptr) [[unlikely]]
      throwMovedFrom();
    return communicator.impl_;
  }
  [[noreturn]] static void throwMovedFrom();

  using Request = lockstep::Request;
  /// Takes out of `request` what its collective does not take.
  void run(Request& request, const void* in, void* out);
  void abort() noexcept;
  Buffer alloc(std::size_t bytes);
  void retune(std::string_view json, std::string_view name);

  // ---- children (family.cpp) ----
  std::shared_ptr<CommunicatorImpl> split(int color, int key);
  std::shared_ptr<CommunicatorImpl> duplicate();
  std::shared_ptr<CommunicatorImpl> shrink();

  bool outnumbered() const { return outnumbered_; }
  /// For what is built on a communicator, while nobody calls it.
  Control& peers() { return *builtOnThis_; }
  /// Runs a part of that which uses them. Meanwhile ranks hear of one that fails. What leaves some
  /// ranks behind, or was forged, is the end of this communicator as well; what all refuse is not.
  void talk(std::string_view operation, const std::function<void()>& part);

  // ---- operations that are asked for now and done later (queue.cpp) ----

  /// Where the parts of a rank's buffer lie that go to, or come from, each rank, in elements.
  struct Parts {
    std::span<const std::size_t> counts, offsets;
  };
  // They check arguments, and throw invalidArgument.
  Pending pendingCall(Request request, const void* in, void* out) const;
  Pending pendingSend(const void* data, std::size_t count, DataType type, int to) const;
  Pending pendingReceive(void* data, std::size_t count, DataType type, int from) const;
  std::vector<Pending> pendingAllToAllV(const void* in, const Parts& inParts, void* out,
                                        const Parts& outParts, DataType type) const;
  /// Throws unless operations can be enqueued.
  void checkUsable() const;
  void checkHealthy() const;  ///< the same, short of forks
  /// `operation` and its completion stay until it is done.
  void enqueue(Pending& operation);
  /// Does what can be done now; false if that was nothing. What fails, and all that is behind it,
  /// ends with that error.
  bool turn() noexcept;
  /// Looks for reasons to give up what is under way.
  void look() noexcept;
  /// Waits for operations of this communicator.
  void finish(const Completion& completion) noexcept;
  /// Enqueues it, waits for it, and throws what it threw. Unlike in a Work, a rank cannot wait for
  /// itself.
  void transfer(Pending& operation);
  void transferAll(std::span<Pending> operations);
  void exchange(const Send& send, const Receive& receive);

  lockstep::Plan explain(Request request, bool registered) const;
  Counters counters() const;
  std::string cipher() const;
  std::string keySource() const;
  std::string ordinaryPath() const;

 private:
  /// What two calls must have in common to share plans.
  struct Shape {
    Collective collective = Collective::allReduce;
    DataType type = DataType::f32;
    Reduction reduction = Reduction::sum;
    bool inPlace = false;
    int root = 0;
    std::size_t bytes = 0;       ///< of a block
    bool rootIsInPlace = false;  ///< of a broadcast: expected
    friend bool operator==(const Shape&, const Shape&) = default;
  };
  /// `direct` is run; if it exposes buffers that cannot all be read in place, `ordinary` is (when
  /// not the same).
  struct Plans {
    const host::Plan* direct = nullptr;
    const host::Plan* ordinary = nullptr;
  };
  struct Remembered {
    Shape shape;
    Plans plans;
    std::uint64_t hash = 0;  ///< shm::shapeHash of such calls
  };

  host::Surroundings surroundings();
  /// Peers for what the call named `purpose` tells the others.
  Control control(std::string_view purpose) {
    return Control(*peers_, keys_ ? &*keys_ : nullptr, purpose);
  }
  void measure();
  double timeOnce(const host::Plan& plan, void* in, void* out, std::size_t bytes);

  /// Looks of a rank at what it waits for before the wait proper (see drive).
  static constexpr int kLooks = 256;
  Extent prepare(Request& request, const void*& in, void*& out) const;
  /// It is of a Buffer of a communicator in the clear, and this one is sealed.
  bool isOpen(const void* data, std::size_t bytes) const {
    return aead_ != nullptr && openBuffers_.touch(data, bytes);
  }
  [[noreturn]] static void refuseOpen(std::string_view what);
  Extent extentOf(const Request& request, const void* in, void* out) const;
  const void* premultiply(const Request& request, const void* in, void* out, Extent& extent);
  void call(const Request& request, const void* in, void* out, Extent& extent);
  void begin(const Request& request, const void* in, void* out, Extent& extent);
  const Remembered& announce(const Request& request, const void* in, void* out, bool inPlace);
  shm::Location locationOf(const void* data, std::size_t bytes) const;
  void launch(const Plans& plans, const Extent& extent);
  bool landed();
  void drive();
  /// Ends this communicator, with the first reason there is; `blamed`: -1 for nobody.
  void poison(ErrorCode code, int blamed) noexcept;
  /// In a catch block: the same with what was thrown. Returns that, with the cause and what can be
  /// done now.
  std::exception_ptr giveUp() noexcept;
  Error withCause(const Error& error) const;
  [[noreturn]] void throwFailedBefore() const;

  /// This is a forked child, and all of this its parent's.
  bool inherited() const noexcept;
  bool disowned() noexcept;
  /// With a progress thread, which a forked child has not: keeps it out until the lock is gone.
  std::unique_lock<std::mutex> enter() const {
    return progress_ == nullptr || inherited() ? std::unique_lock<std::mutex>()
                                               : progress_->keepOut();
  }
  /// For the progress thread: as turn, or look if there was nothing to do.
  bool round() noexcept;
  bool busy() const { return current_ != nullptr || !queue_.empty() || !transfers_->idle(); }
  void drain() noexcept;
  template <class Until>
  void driveQueue(Until until) noexcept;
  bool advanceOrFail() noexcept;
  void lookOrFail() noexcept;
  bool advance();
  bool admit();
  bool stepCurrent();
  bool stepTransfers();
  shm::Awaited awaited() const;
  void failPending() noexcept;
  void endPending(const std::exception_ptr& error) noexcept;
  Pending pendingTransfer(host::Transfer::Direction direction, void* data, std::size_t count,
                          DataType type, int peer) const;

  Buffer allocPrivate(std::size_t bytes, Deadline deadline);
  Buffer allocShared(std::size_t bytes, Deadline deadline);
  [[noreturn]] void throwFailed(std::string_view operation, const Error& error);

  std::shared_ptr<CommunicatorImpl> bear(family::Wish wish);
  std::shared_ptr<CommunicatorImpl> child(const cc::Birth& birth,
                                          std::unique_ptr<Peers> peers) const;
  void checkNotForked() const;

  Situation situation(const Shape& shape, bool direct) const;
  Shape shapeOf(const Request& request, bool inPlace) const {
    return {.collective = request.collective,
            .type = request.type,
            .reduction = request.reduction,
            .inPlace = inPlace,
            .root = request.root,
            .bytes = request.count * sizeOf(request.type),
            .rootIsInPlace = request.collective == Collective::broadcast && expectRootInPlace_};
  }
  const Remembered& remember(const Shape& shape);
  const host::Plan* planFor(const Shape& shape, bool direct);
  const host::Plan* planOf(const Choice& choice, const Shape& shape, Mode mode);
  const host::Plan* planOf(const shm::CallDescription& call);
  /// How everything crosses but the words of masked sums.
  Mode planMode() const { return options_.mode == Mode::ccMasked ? Mode::cc : options_.mode; }

  // ---- masked sums (masked.cpp) ----
  bool masks(const Request& request) const;
  std::string whySealed(const Request& request) const;
  Situation carrier(std::size_t words) const;
  const host::Plan* planOfCarrier(std::size_t words);
  void beginMasked(const Request& request, const void* in, void* out,
                   const host::Plan* sealedInstead);
  void countPads(std::size_t words);
  bool launchMasked(const MaskedCall::Step& step);

  std::unique_ptr<Peers> peers_;
  Transcript transcript_;  ///< of what was said over them before there were keys
  Options options_;
  WipeAtEnd<std::vector<std::byte>> pskWiper_{options_.psk};  ///< should there be no communicator
  std::uint64_t forkGeneration_;
  TuningTable tuning_;
  std::optional<std::size_t> attachAbove_;  ///< where cross-memory attach pays, if it was measured
  std::shared_ptr<const cc::Aead> aead_;
  shm::Fabric fabric_;
  shm::Regions regions_;
  mutable shm::OpenBuffers openBuffers_;  ///< which sealed calls refuse
  bool crossMemoryAttach_ = false;
  bool outnumbered_ = false;
  std::optional<cc::KeyRing> keys_;
  std::optional<Control> builtOnThis_;
  std::string keySource_ = "none";
  cc::Lineage lineage_;       ///< for the keys of children
  std::uint64_t births_ = 0;  ///< children so far
  host::Doorbell doorbell_;
  Watch watch_;
  host::Run run_;
  /// Known once it has failed, for good. Shared memory is not asked, since others can write it.
  std::atomic<Cause> cause_{Cause{}};
  host::Call call_;               ///< the one under way, or the last
  const Plans* plans_ = nullptr;  ///< of the call under way
  enum class Attempt : std::uint8_t { only, direct, ordinary, fallBack } attempt_{};
  Premultiplier premultiplier_;
  /// By collective: every rank's buffers could be read in place in the last call where that
  /// mattered. What to expect of the next; all ranks compute it from the same messages, so they
  /// agree. Each for itself, since in some not everyone hears of everyone for a long time.
  std::bitset<kCollectives> expectDirect_ = std::bitset<kCollectives>().set();
  /// The root of the last broadcast that exposed buffers had one for both: likewise.
  bool expectRootInPlace_ = true;

  using PlanKey = std::tuple<const schedule::Algorithm*, HostProtocol, std::size_t, int, DataType,
                             Reduction, bool, int, Mode>;
  std::map<PlanKey, std::unique_ptr<host::Plan>> cache_;
  const Remembered* last_ = nullptr;
  std::array<Remembered, 64> remembered_;  ///< the plans of recent shapes, by hash

  std::optional<MaskedCall> masked_;           ///< with Mode::ccMasked, unless alone
  host::Call part_;                            ///< of a masked call: the run under way
  const host::Plan* sealedInstead_ = nullptr;  ///< .. and what may have to be run in its place
  struct {
    std::size_t words = 0;
    const host::Plan* plan = nullptr;
  } carriedLast_;

  std::optional<host::Transfers> transfers_;  ///< sends and receives
  host::TransferList queue_;                  ///< of Pending: asked for, not begun
  Pending* current_ = nullptr;                ///< the collective among them that has begun
  std::unique_ptr<ProgressThread> progress_;  ///< with Options::progressThread; the last to come
};

}  // namespace lockstep
