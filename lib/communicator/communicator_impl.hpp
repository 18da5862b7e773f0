// One rank of a communicator: owns everything, knows how the parts go together.
#pragma once

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>

#include "bootstrap/peers.hpp"
#include "cc_mode/keys/key_ring.hpp"
#include "communicator/tuning.hpp"
#include "communicator/watch.hpp"
#include "executor/host/plan.hpp"
#include "executor/host/run.hpp"
#include "executor/host/wait.hpp"
#include "transport/shm/fabric.hpp"
#include "transport/shm/regions.hpp"
#include <lockstep/communicator.hpp>

namespace lockstep {

class CommunicatorImpl {
 public:
  /// Collective. `options` with the environment already applied.
  CommunicatorImpl(std::unique_ptr<Peers> peers, Options options);
  ~CommunicatorImpl();

  static Communicator wrap(std::shared_ptr<CommunicatorImpl> impl) {
    return Communicator(std::move(impl));
  }

  int rank() const { return fabric_.rank(); }
  int worldSize() const { return fabric_.worldSize(); }
  const Options& options() const { return options_; }

  /// What a call is, besides its buffers.
  struct Request {
    Collective collective = Collective::allReduce;
    std::size_t count = 0;  ///< elements of a block
    DataType type = DataType::u8;
    Reduction reduction = Reduction::sum;
    int root = 0;
  };
  /// Takes out of `request` what its collective does not take.
  void run(Request& request, const void* in, void* out);
  void abort() noexcept;
  Buffer alloc(std::size_t bytes);

  lockstep::Plan explain(Request request, bool registered) const;
  Counters counters() const { return run_.counters(); }
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
    std::size_t bytes = 0;  ///< of a block
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

  /// What a call's buffers come to on this rank.
  struct Extent {
    std::size_t inBytes = 0, outBytes = 0;  ///< 0: this rank has no such buffer
    bool inPlace = false;
  };

  host::Surroundings surroundings();
  void measure();
  double timeOnce(const host::Plan& plan, void* in, void* out, std::size_t bytes);

  void checkUsable() const;
  Extent extentOf(const Request& request, const void* in, void* out) const;
  void call(const Request& request, const void* in, void* out, const Extent& extent);
  shm::Location locationOf(const void* data, std::size_t bytes) const;
  void execute(const Plans& plans, const Extent& extent);
  void drive();
  void poison(ErrorCode code, int blamed) noexcept;
  Buffer allocPrivate(std::size_t bytes, Deadline deadline);
  Buffer allocShared(std::size_t bytes, Deadline deadline);
  [[noreturn]] void throwAllocFailed(const Error& error);

  Situation situation(Collective collective, std::size_t bytes, bool direct) const;
  const Remembered& remember(const Shape& shape);
  const host::Plan* planFor(const Shape& shape, bool direct);
  const host::Plan* planOf(const Choice& choice, const Shape& shape);

  std::unique_ptr<Peers> peers_;
  Options options_;
  unsigned forkGeneration_;
  TuningTable tuning_;
  std::shared_ptr<const cc::Aead> aead_;
  shm::Fabric fabric_;
  shm::Regions regions_;
  bool crossMemoryAttach_ = false;
  bool outnumbered_ = false;
  std::optional<cc::KeyRing> keys_;
  bool authenticated_ = false;  ///< the keys, by a pre-shared key
  host::Doorbell doorbell_;
  Watch watch_;
  host::Run run_;
  std::atomic<bool> failed_{
      false};        ///< for good; shared memory is not asked, since others can write it
  host::Call call_;  ///< the one under way, or the last
  /// Every rank's buffers could be read in place in the last call where that mattered: what to
  /// expect of the next. All ranks compute it from the same messages, so they agree.
  bool expectDirect_ = true;

  using PlanKey = std::tuple<const schedule::Algorithm*, HostProtocol, std::size_t, int, DataType,
                             Reduction, bool, int>;
  std::map<PlanKey, std::unique_ptr<host::Plan>> plans_;
  const Remembered* last_ = nullptr;
  std::array<Remembered, 64> remembered_;  ///< the plans of recent shapes, by hash
};

}  // namespace lockstep
