#include "communicator/communicator_impl.hpp"

#include <algorithm>
#include <atomic>
#include <limits>

#include "base/fail.hpp"
#include "base/secret.hpp"
#include "communicator/agreement.hpp"

namespace lockstep {

namespace {

/// Which process this is among its forked ancestors, where a communicator's sockets, counters and
/// keys must not be used twice. In a page that is wiped in every child: what pthread_atfork is told
/// of is fork(), but not clone(), nor _Fork().
std::uint64_t forkGeneration() {
  static const Secret<std::atomic<std::uint64_t>> generation;
  static std::atomic<std::uint64_t> last{0};
  std::uint64_t mine = generation->load(std::memory_order_relaxed);
  if (mine != 0) [[likely]]
    return mine;
  const std::uint64_t next = last.fetch_add(1) + 1;
  return generation->compare_exchange_strong(mine, next) ? next : mine;
}

/// From here on, asking all ranks whether their buffers are registered costs little beside the
/// call.
constexpr std::size_t kAskBytes = std::size_t{64} << 10;

constexpr const char* kAlloc = "alloc";

constexpr std::size_t kMostBytes = std::numeric_limits<std::ptrdiff_t>::max();

TuningTable loadTuning(const Options& options) {
  return options.tuningFile.empty() ? TuningTable::builtIn()
                                    : TuningTable::read(options.tuningFile);
}

std::string describeKeys(const Options& options) {
  if (options.attestation == nullptr)
    return options.psk.empty() ? "unauthenticated (insecure)" : "X25519 and pre-shared key";
  return options.psk.empty() ? "X25519 and attestation" : "X25519, pre-shared key and attestation";
}

/// Checks a request, and takes out of it what the collective does not take, so that ranks cannot
/// differ in it. In place, like everything on the way of a call: a structure that was just written
/// member by member and is then copied in wider pieces waits for the stores before it, and those
/// before them, which may be waiting for another core.
void settle(Request& request, int worldSize) {
  if (static_cast<std::size_t>(request.collective) >= kCollectives)
    fail(ErrorCode::invalidArgument, "no such collective ({})",
         static_cast<int>(request.collective));
  const Contract& contract = contractOf(request.collective);
  if (!contract.hasData) {
    request.count = 0;
    request.type = DataType::u8;
  }
  if (!contract.reduces) request.reduction = Reduction::sum;
  if (!contract.rooted) request.root = 0;
  if (static_cast<std::size_t>(request.type) >= kDataTypes ||
      static_cast<std::size_t>(request.reduction) >= kReductions)
    fail(ErrorCode::invalidArgument, "{}: no such data type ({}) or reduction ({})",
         name(request.collective), static_cast<int>(request.type),
         static_cast<int>(request.reduction));
  if (request.root < 0 || request.root >= worldSize)
    fail(ErrorCode::invalidArgument, "{}: root {} is not in a world of {} (0 to {})",
         name(request.collective), request.root, worldSize, worldSize - 1);
  if (request.reduction == Reduction::preMulSum)
    checkFactor(request.collective, request.type, request.factor);
}

/// Bytes of one block, and of one for each rank.
struct Sizes {
  std::size_t block = 0, blocks = 0;
};

/// Throws if no memory holds as much.
Sizes sizesOf(const Request& request, int worldSize) {
  Sizes sizes;
  if (__builtin_mul_overflow(request.count, sizeOf(request.type), &sizes.block) ||
      __builtin_mul_overflow(sizes.block, static_cast<std::size_t>(worldSize), &sizes.blocks) ||
      sizes.blocks > kMostBytes)
    fail(ErrorCode::invalidArgument, "{}: count {} is more than memory can hold",
         name(request.collective), request.count);
  return sizes;
}

/// Lines of messages that are short enough have more slots.
shm::Protocol channelProtocol(const Choice& choice) {
  if (choice.protocol != HostProtocol::ll) return shm::Protocol::simple;
  return choice.tileBytes + cc::kTagBytes <= shm::kBriefBytes ? shm::Protocol::brief
                                                              : shm::Protocol::ll;
}

}  // namespace

// ---- creation and end ----

CommunicatorImpl::CommunicatorImpl(std::unique_ptr<Peers> peers, Options options, Deadline deadline,
                                   const CommunicatorImpl* parent)
    : peers_(std::move(peers)),
      transcript_(*peers_),
      options_(std::move(options)),
      forkGeneration_(forkGeneration()),
      tuning_(parent == nullptr ? loadTuning(options_) : parent->tuning_),
      aead_(isSealed(options_.mode) ? cc::createAead(options_.cipher) : nullptr),
      fabric_(transcript_, deadline),
      crossMemoryAttach_(agreement::crossMemoryAttach(transcript_, options_, deadline)),
      outnumbered_(agreement::ranksOutnumberCores(transcript_, deadline)),
      doorbell_(fabric_, outnumbered_),
      watch_(fabric_, *peers_, isSealed(options_.mode)),
      run_(surroundings()) {
  agreement::compare(transcript_, options_, tuning_, aead_.get(), deadline);
  if (aead_ != nullptr) {
    keys_.emplace(agreement::keys(transcript_, options_, aead_, lineage_, deadline));
    keys_->replaceAfter(options_.rekeyBytes);
    keySource_ = parent == nullptr ? describeKeys(options_) : parent->keySource_;
    if (const auto masks = keys_->takeMasks())
      masked_.emplace(rank(), worldSize(), aead_, **masks, keys_->maxBlocks());
  }
  wipe(options_.psk.data(), options_.psk.size());  // it has done its work
  options_.psk.clear();
  builtOnThis_.emplace(*peers_, keys_ ? &*keys_ : nullptr, "call of a communicator of GPUs");
  transfers_.emplace(run_, keys_ ? &*keys_ : nullptr);
  measure();
  if (options_.progressThread)
    progress_ =
        std::make_unique<ProgressThread>([this] { return busy(); }, [this] { return round(); });
}

CommunicatorImpl::~CommunicatorImpl() {
  if (inherited()) {  // the parent's; not ours to leave, and no thread
    static_cast<void>(progress_.release());
    return;
  }
  progress_.reset();
  auto expected = static_cast<std::uint64_t>(shm::Presence::here);
  fabric_.mine().status.presence.compare_exchange_strong(
      expected, static_cast<std::uint64_t>(shm::Presence::left));
}

host::Surroundings CommunicatorImpl::surroundings() {
  host::Surroundings s{
      .fabric = fabric_, .regions = regions_, .doorbell = doorbell_, .pids = {}, .pidfds = {}};
  for (int r = 0; r < worldSize(); ++r) {
    s.pids.push_back(peers_->pidOf(r));
    s.pidfds.push_back(peers_->pidfdOf(r));
  }
  s.sameProcess = peers_->sameProcess();
  s.streamingBytes = agreement::streamingBytes(worldSize());
  s.aead = aead_.get();
  s.planOf = [this](const shm::CallDescription& call) { return planOf(call); };
  return s;
}

// ---- calls ----

bool CommunicatorImpl::inherited() const noexcept {
  return forkGeneration_ != forkGeneration();
}

void CommunicatorImpl::checkNotForked() const {
  if (inherited())
    fail(ErrorCode::invalidArgument,
         "a forked child cannot use its parent's communicator; create one after the fork");
}

void CommunicatorImpl::checkUsable() const {
  checkNotForked();
  checkHealthy();
}

void CommunicatorImpl::checkHealthy() const {
  if (cause_.load(std::memory_order_relaxed).known) [[unlikely]]
    throwFailedBefore();
}

void CommunicatorImpl::run(Request& request, const void* in, void* out) {
  Extent extent = prepare(request, in, out);
  call(request, in, out, extent);
}

/// Checks the arguments; what this rank does not have becomes null.
Extent CommunicatorImpl::prepare(Request& request, const void*& in, void*& out) const {
  settle(request, worldSize());
  const Extent extent = extentOf(request, in, out);
  if (extent.inBytes == 0) in = nullptr;
  if (extent.outBytes == 0) out = nullptr;
  if (isOpen(in, extent.inBytes) || isOpen(out, extent.outBytes)) [[unlikely]]
    refuseOpen(name(request.collective));
  return extent;
}

void CommunicatorImpl::refuseOpen(std::string_view what) {
  fail(ErrorCode::invalidArgument,
       "{}: a Buffer of a communicator in the clear, which other processes read and write, is not "
       "for a sealed one; use its own alloc, or ordinary memory",
       what);
}

/// Throws invalidArgument for buffers that this call cannot work on.
Extent CommunicatorImpl::extentOf(const Request& request, const void* in, void* out) const {
  const Contract& contract = contractOf(request.collective);
  if (!contract.hasData) return {};
  const auto what = name(request.collective);
  const auto [block, blocks] = sizesOf(request, worldSize());
  const bool root = rank() == request.root;
  const std::size_t inBytes = contract.inAtRoot && !root ? 0 : contract.inPerRank ? blocks : block;
  const std::size_t outBytes = contract.outAtRoot && !root ? 0
                               : contract.outPerRank       ? blocks
                                                           : block;
  if ((inBytes != 0 && in == nullptr) || (outBytes != 0 && out == nullptr))
    fail(ErrorCode::invalidArgument, "{}: {} is null, but count is {}", what,
         inBytes != 0 && in == nullptr ? "in" : "out", request.count);
  if (inBytes == 0 || outBytes == 0) return {inBytes, outBytes, false};
  // In place, the smaller buffer is this rank's own block of the larger one.
  const auto i = reinterpret_cast<std::uintptr_t>(in), o = reinterpret_cast<std::uintptr_t>(out);
  const std::size_t own = static_cast<std::size_t>(rank()) * block;
  const bool inPlace = i + (inBytes > outBytes ? own : 0) == o + (outBytes > inBytes ? own : 0);
  if (!inPlace && overlap(in, inBytes, out, outBytes))
    fail(ErrorCode::invalidArgument, "{}: in and out overlap without being {}", what,
         inBytes == outBytes ? "the same" : "one this rank's block of the other");
  return {inBytes, outBytes, inPlace};
}

void CommunicatorImpl::call(const Request& request, const void* in, void* out, Extent& extent) {
  const auto lock = enter();
  if (busy()) [[unlikely]]
    drain();
  checkUsable();
  try {
    begin(request, in, out, extent);
    do drive();
    while (!landed());
  } catch (...) {
    std::rethrow_exception(giveUp());
  }
}

void CommunicatorImpl::begin(const Request& request, const void* in, void* out, Extent& extent) {
  if (request.reduction == Reduction::preMulSum) [[unlikely]]
    in = premultiply(request, in, out, extent);
  const Plans& plans = announce(request, in, out, extent.inPlace).plans;
  if (masks(request)) [[unlikely]]
    beginMasked(request, in, out, plans.direct);
  else
    launch(plans, extent);
}

/// What the call goes on with in place of `in`. Products as many as `out` has elements are made
/// there: it may be memory that the others can read in place.
const void* CommunicatorImpl::premultiply(const Request& request, const void* in, void* out,
                                          Extent& extent) {
  if (extent.inBytes == 0) return in;
  extent.inPlace = extent.inBytes == extent.outBytes;
  return premultiplier_.multiply(request.type, request.factor, in, extent.inBytes,
                                 extent.inPlace ? out : nullptr);
}

/// The call under way, told to the others; with its plans.
const CommunicatorImpl::Remembered& CommunicatorImpl::announce(const Request& request,
                                                               const void* in, void* out,
                                                               bool inPlace) {
  call_.in = in;
  call_.out = out;
  call_.count = request.count;
  call_.inAt = call_.outAt = {};
  ++call_.what.sequence;
  call_.what.collective = request.collective;
  call_.what.type = request.type;
  call_.what.reduction = request.reduction;
  call_.what.count = request.count;
  call_.what.root = request.root;
  shm::announce(fabric_.mine().call, call_.what);
  const Remembered& known = remember(shapeOf(request, inPlace));
  call_.fingerprint = shm::fingerprint(known.hash, call_.what.sequence);
  watch_.begin(call_.what, options_.timeout);
  return known;
}

/// Only each rank itself knows whether its buffers are registered. Where that decides between
/// plans, a large message starts by exposing them, which tells everyone, and falls back if they are
/// not. A small one cannot afford this: it goes by what the last such call told, and its messages
/// tell for the next.
void CommunicatorImpl::launch(const Plans& plans, const Extent& extent) {
  plans_ = &plans;
  if (plans.direct->exposes) {
    call_.inAt = locationOf(call_.in, extent.inBytes);
    call_.outAt = call_.in == call_.out ? call_.inAt : locationOf(call_.out, extent.outBytes);
  }
  const bool matters = plans.direct != plans.ordinary;
  const auto collective = static_cast<std::size_t>(call_.what.collective);
  const std::size_t bytes = call_.count * sizeOf(call_.what.type);
  if (!matters)
    attempt_ = Attempt::only;
  else
    attempt_ =
        !expectDirect_[collective] && bytes < kAskBytes ? Attempt::ordinary : Attempt::direct;
  run_.begin(attempt_ == Attempt::ordinary ? *plans.ordinary : *plans.direct, call_,
             matters && attempt_ == Attempt::direct);
}

/// After a run has ended: true if the call has. Otherwise the ordinary plan has begun.
bool CommunicatorImpl::landed() {
  if (masked_ && masked_->underway()) [[unlikely]]
    return !launchMasked(masked_->next());
  const auto collective = static_cast<std::size_t>(call_.what.collective);
  if (call_.what.collective == Collective::broadcast)
    expectRootInPlace_ = run_.exposedInPlace(call_.what.root).value_or(expectRootInPlace_);
  switch (attempt_) {
    case Attempt::only:
    case Attempt::fallBack:
      return true;
    case Attempt::ordinary:
      if (plans_->ordinary->hearsAll) expectDirect_[collective] = run_.allDirect();
      return true;
    case Attempt::direct:
      expectDirect_[collective] = run_.allDirect();
      if (!run_.fellBack()) return true;
      break;
  }
  attempt_ = Attempt::fallBack;
  run_.begin(*plans_->ordinary, call_, false);
  return false;
}

shm::Location CommunicatorImpl::locationOf(const void* data, std::size_t bytes) const {
  if (data == nullptr && bytes == 0) return {shm::Location::kNothing, 0};
  return regions_.locate(data, bytes);
}

/// Runs to the end, or to a fall-back.
void CommunicatorImpl::drive() {
  host::Progress progress = run_.step();
  // The answer is often underway: look a few times before the wait proper, whose pauses cost more
  // than a look. Unless the answer needs this very core.
  const int most = outnumbered_ ? 1 : kLooks;
  for (int looks = 0; progress == host::Progress::none && looks < most; ++looks)
    progress = run_.step();
  if (progress == host::Progress::done) return;
  host::Wait wait(fabric_, watch_, outnumbered_);
  while (progress == host::Progress::some || progress == host::Progress::none) {
    if (progress == host::Progress::some) {
      wait.progress();
      watch_.moved();  // it is waits that are bounded, not what a call of any size takes
    } else {
      wait.pause(run_.awaited());
    }
    checkNotForked();  // by a signal handler, since the call began
    progress = run_.step();
  }
}

// ---- plans ----

Situation CommunicatorImpl::situation(const Shape& shape, bool direct) const {
  const bool sealed = isSealed(options_.mode);
  return {.collective = shape.collective,
          .mode = options_.mode,
          .worldSize = worldSize(),
          .bytes = shape.bytes,
          .direct = !sealed && direct,
          .zeroCopy = !sealed && (direct || crossMemoryAttach_),
          .reproducible = options_.reproducible,
          .type = shape.type,
          .inPlace = shape.rootIsInPlace};
}

const CommunicatorImpl::Remembered& CommunicatorImpl::remember(const Shape& shape) {
  if (last_ != nullptr && last_->shape == shape) return *last_;
  const std::size_t hash =
      (shape.bytes ^ shape.bytes >> 7) * 31 + static_cast<std::size_t>(shape.type) * 7 +
      static_cast<std::size_t>(shape.reduction) * 3 + static_cast<std::size_t>(shape.inPlace) +
      static_cast<std::size_t>(shape.collective) * 11 + static_cast<std::size_t>(shape.root) * 5 +
      static_cast<std::size_t>(shape.rootIsInPlace) * 2;
  Remembered& place = remembered_[hash % remembered_.size()];
  if (place.plans.direct != nullptr && place.shape == shape) {
    last_ = &place;
    return place;
  }
  Plans plans{.direct = planFor(shape, true), .ordinary = nullptr};
  // Whether all buffers can be read in place is not known to any rank alone. If it would make a
  // difference, the ranks find out as `execute` says.
  plans.ordinary =
      plans.direct->exposes && !peers_->sameProcess() ? planFor(shape, false) : plans.direct;
  const shm::CallDescription what{.sequence = 0,
                                  .collective = shape.collective,
                                  .type = shape.type,
                                  .reduction = shape.reduction,
                                  .count = shape.bytes / sizeOf(shape.type),
                                  .root = shape.root};
  place = {shape, plans, shm::shapeHash(what)};
  last_ = &place;
  return place;
}

const host::Plan* CommunicatorImpl::planFor(const Shape& shape, bool direct) {
  return planOf(tuning_.select(situation(shape, direct), options_.algorithm, options_.protocol),
                shape, planMode());
}

const host::Plan* CommunicatorImpl::planOf(const Choice& choice, const Shape& shape, Mode mode) {
  const PlanKey key{choice.algorithm, choice.protocol, choice.tileBytes, choice.depth, shape.type,
                    shape.reduction,  shape.inPlace,   shape.root,       mode};
  std::unique_ptr<host::Plan>& plan = cache_[key];
  if (plan == nullptr)
    plan = std::make_unique<host::Plan>(host::lower({.algorithm = choice.algorithm,
                                                     .type = shape.type,
                                                     .reduction = shape.reduction,
                                                     .mode = mode,
                                                     .inPlace = shape.inPlace,
                                                     .root = shape.root,
                                                     .protocol = channelProtocol(choice),
                                                     .tileBytes = choice.tileBytes,
                                                     .depth = choice.depth,
                                                     .oneNan = options_.reproducible},
                                                    fabric_, keys_ ? &*keys_ : nullptr));
  return plan.get();
}

/// Of a call that somebody says another rank makes; throws if no rank can.
const host::Plan* CommunicatorImpl::planOf(const shm::CallDescription& call) {
  Request request{.collective = call.collective,
                  .count = call.count,
                  .type = call.type,
                  .reduction = call.reduction,
                  .root = call.root};
  settle(request, worldSize());
  static_cast<void>(sizesOf(request, worldSize()));  // it throws
  return planFor(shapeOf(request, false), true);
}

// ---- memory ----

Buffer CommunicatorImpl::alloc(std::size_t bytes) {
  const auto lock = enter();
  drain();
  checkUsable();
  if (bytes == 0 || bytes > std::numeric_limits<std::ptrdiff_t>::max() / 2)
    fail(ErrorCode::invalidArgument, "alloc: {} bytes", bytes);
  const shm::Talking talking(fabric_.mine().call, shm::Talk::alloc);
  const Deadline deadline = Deadline::in(options_.timeout);
  peers_->whileWaiting([this] { watch_.checkFailed(kAlloc); });
  try {
    // In sealed modes plaintext stays private; what is private to a thread, all threads reach.
    return isSealed(options_.mode) || peers_->sameProcess() ? allocPrivate(bytes, deadline)
                                                            : allocShared(bytes, deadline);
  } catch (const Error& error) {
    // All ranks saw different sizes, and nothing has happened. Anything else may have hit some
    // ranks only.
    if (error.code() == ErrorCode::mismatch) throw;
    throwFailed(kAlloc, error);
  } catch (...) {
    std::rethrow_exception(giveUp());
  }
}

Buffer CommunicatorImpl::allocPrivate(std::size_t bytes, Deadline deadline) {
  Control sizes = control(kAlloc);
  shm::compareSizes(sizes, bytes, deadline);
  auto memory = std::make_shared<Mapping>(Mapping::anonymous(bytes));
  Buffer buffer;
  buffer.size_ = bytes;
  buffer.data_ = memory->data();
  buffer.owner_ = std::move(memory);
  return buffer;
}

Buffer CommunicatorImpl::allocShared(std::size_t bytes, Deadline deadline) {
  Control peers = control(kAlloc);
  auto region = regions_.add(peers, bytes, deadline);
  Buffer buffer;
  buffer.size_ = bytes;
  buffer.data_ = region->mine();
  buffer.owner_ = std::move(region);
  return buffer;
}

// ---- telling ----

lockstep::Plan CommunicatorImpl::explain(Request request, bool registered) const {
  settle(request, worldSize());
  static_cast<void>(sizesOf(request, worldSize()));  // it throws
  const bool direct = registered || peers_->sameProcess();
  const bool masked = masks(request);
  const Situation call = masked ? carrier(MaskedCall::wordsAtFirst(request.type, request.count))
                                : situation(shapeOf(request, false), direct);
  const Choice choice = tuning_.select(call, options_.algorithm, options_.protocol);
  lockstep::Plan plan;
  plan.algorithm = choice.algorithm->name;
  plan.protocol = name(choice.protocol);
  plan.tileBytes = choice.protocol == HostProtocol::zeroCopy ? 0 : choice.tileBytes;
  plan.depth = choice.depth;
  if (masked)
    plan.transport = "masked words in shared memory";
  else if (choice.protocol != HostProtocol::zeroCopy)
    plan.transport =
        isSealed(options_.mode) ? "sealed records in shared memory" : "slots in shared memory";
  else
    plan.transport = direct ? "shared memory, read in place" : "process_vm_readv";
  plan.reason = tuning_.why(call, options_.algorithm, options_.protocol);
  if (options_.mode == Mode::ccMasked && request.collective == Collective::allReduce)
    plan.reason += masked ? "; for masked words" : whySealed(request);
  return plan;
}

Counters CommunicatorImpl::counters() const {
  const auto lock = enter();
  return run_.counters();
}

std::string CommunicatorImpl::cipher() const {
  return aead_ == nullptr ? "none" : std::string(aead_->name());
}

std::string CommunicatorImpl::keySource() const {
  return keySource_;
}

std::string CommunicatorImpl::ordinaryPath() const {
  if (isSealed(options_.mode)) return "slots";
  if (peers_->sameProcess()) return "same process";
  return crossMemoryAttach_ ? "process_vm_readv" : "slots";
}

}  // namespace lockstep
