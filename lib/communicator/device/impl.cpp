#include "communicator/device/impl.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>

#include "base/fail.hpp"
#include "cc_mode/digest.hpp"
#include "communicator/device/keys.hpp"
#include "executor/cuda/prelude/sealing_key.cuh"
#include "transport/shm/regions.hpp"

namespace lockstep {
namespace {

/// Blocks of a rank that has a GPU to itself and moves plaintext: links are slower than memory, and
/// so many keep them full (NCCL's default on NVSwitch machines is 16 to 32 channels). Ranks that
/// share a GPU are bound by its memory, which takes all multiprocessors to keep busy, and ciphers
/// by every multiprocessor's own shared memory: those have as many as there are.
constexpr int kUsualLanes = 32;
constexpr std::size_t kUsualSlotBytes = std::size_t{64} << 10;
constexpr std::size_t kLeastSlotBytes = std::size_t{4} << 10;
constexpr std::size_t kMostSlotBytes = std::size_t{256} << 10;
constexpr unsigned kLlBytes = 16 << 10;
/// What all slots of a rank take together at most.
constexpr std::size_t kSlotBudget = std::size_t{256} << 20;

template <class T>
std::span<const std::byte> bytesOf(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

std::byte* toPointer(cuda::DevicePtr address) {
  return reinterpret_cast<std::byte*>(address);  // NOLINT: a device's address
}

/// A compiler that works is waited for, however many kernels there are; a rank that is gone is
/// heard of all the same.
constexpr auto kCompiling = std::chrono::minutes(10);

/// This rank's wishes, and what all know of each other.
struct Wishes {
  std::uint64_t heapBytes = 0, slotBytes = 0;
  std::int32_t blocks = 0, multiprocessors = 0;
  cuda::Uuid uuid{};
  std::array<std::byte, 16> kernels{};  ///< digest of what is to be compiled
};
static_assert(std::has_unique_object_representations_v<Wishes>);

template <class T>
std::string listOf(const std::vector<T>& values) {
  std::string text;
  for (const T value : values) text += fmt::format("{},", static_cast<int>(value));
  return text;
}

std::array<std::byte, 16> digestOfKernels(const DeviceOptions& options) {
  return cc::digest16(fmt::format("lockstep device kernels 1|{}|{}|{}", listOf(options.collectives),
                                  listOf(options.types), listOf(options.reductions)));
}

void checkOptions(const DeviceOptions& options) {
  if (options.blocks < 0 || options.blocks > static_cast<int>(device::kMaxLanes))
    lockstep::fail(ErrorCode::invalidArgument, "DeviceOptions::blocks is {}; it takes 0 to {}",
                   options.blocks, device::kMaxLanes);
  const std::size_t slot = options.slotBytes;
  if (slot != 0 && (slot < kLeastSlotBytes || slot > kMostSlotBytes || slot % 128 != 0))
    lockstep::fail(ErrorCode::invalidArgument,
                   "DeviceOptions::slotBytes is {}; it takes 0, or a multiple of 128 from {} to {}",
                   slot, kLeastSlotBytes, kMostSlotBytes);
  constexpr std::size_t kMostHeap = std::size_t{1} << 47;  // more than any GPU's memory
  if (options.heapBytes > kMostHeap)
    lockstep::fail(ErrorCode::invalidArgument,
                   "DeviceOptions::heapBytes is {}, more than any GPU has", options.heapBytes);
  const auto known = [](const auto& values, std::size_t kinds) {
    return std::ranges::all_of(values, [&](auto v) { return static_cast<std::size_t>(v) < kinds; });
  };
  if (!known(options.collectives, kCollectives) || !known(options.types, kDataTypes) ||
      !known(options.reductions, kReductions))
    lockstep::fail(ErrorCode::invalidArgument,
                   "DeviceOptions names a collective, type or reduction that there is not");
}

/// The first rank that does not want what rank 0 wants.
std::optional<cuda::Refusal> refuseDifferent(std::span<const Wishes> wishes) {
  const Wishes& first = wishes[0];
  for (std::size_t r = 1; r < wishes.size(); ++r) {
    const Wishes& w = wishes[r];
    std::string text;
    if (w.heapBytes != first.heapBytes || w.slotBytes != first.slotBytes ||
        w.blocks != first.blocks)
      text = fmt::format("heapBytes {} and {}, slotBytes {} and {}, blocks {} and {}", w.heapBytes,
                         first.heapBytes, w.slotBytes, first.slotBytes, w.blocks, first.blocks);
    else if (w.kernels != first.kernels)
      text = "collectives, types or reductions";
    if (!text.empty())
      return cuda::Refusal{static_cast<int>(r), ErrorCode::mismatch, false,
                           fmt::format("rank {} has other DeviceOptions than rank 0: {}", r, text)};
  }
  return std::nullopt;
}

}  // namespace

DeviceImpl::DeviceImpl(std::shared_ptr<CommunicatorImpl> control, const DeviceOptions& options)
    : control_(std::move(control)), kernels_({}, {}, cuda::Cache::none("there is no device yet")) {
  agree(options);
  const device::Offsets offsets{geometry_};
  try {
    segments_.emplace(control_->peers(), context_, offsets.bytes(), deadline());
  } catch (const cuda::PeersUnreachable& error) {  // the same on all ranks
    bounce(error.what());
    return;
  }
  if (isMulticast(control_->options().mode)) {
    multicast_.emplace(control_->peers(), *segments_, deadline());
    multicastPath_ = multicast_->describe();
  } else {
    multicastPath_ = "none: the mode is unicast";
  }
  heap_.emplace(geometry_.heapBytes);
  step(deadline(), [&] { makeWorld(); });
  compileKernels(options);
  if (isSealed(control_->options().mode)) makeKeys();
}

void DeviceImpl::bounce(const std::string& why) {
  bounce_.emplace(CommunicatorImpl::wrap(control_), context_,
                  [this](cuda::StreamHandle stream) { waitIdle(stream); });
  multicastPath_ = "none: through the hosts, because " + why;
  provenance_ += ", through the hosts";
}

/// What one rank cannot do none does. After the last step all ranks have all they need, so that
/// nobody signals a peer that is not ready.
void DeviceImpl::step(Deadline until, const std::function<void()>& part) {
  conclude(cuda::together(control_->peers(), until, part));
}

/// The same everywhere: all throw it, and have dropped the others' memory before anyone gives his
/// back.
void DeviceImpl::conclude(const std::optional<cuda::Refusal>& refusal) {
  if (!refusal) return;
  multicast_.reset();
  if (segments_) segments_->dropOthers();
  cuda::raiseTogether(control_->peers(), deadline(), *refusal);
}

void DeviceImpl::openDevice(const DeviceOptions& options) {
  control_->checkUsable();
  checkOptions(options);
  const Devices found = devices();
  if (found.list.empty()) lockstep::fail(ErrorCode::unsupported, "{}", found.none);
  const int ordinal =
      options.device >= 0 ? options.device : rank() % static_cast<int>(found.list.size());
  if (ordinal >= std::ssize(found.list))
    lockstep::fail(ErrorCode::invalidArgument, "there is no GPU {}; this machine has {}", ordinal,
                   found.list.size());
  info_ = found.list[static_cast<std::size_t>(ordinal)];
  context_ = cuda::PrimaryContext::retain(ordinal);
  kernels_ = gpu::Kernels(context_, {info_.computeMajor, info_.computeMinor}, cacheFor());
  stream_ = cuda::Stream::create(context_);
  service_ = cuda::Stream::create(context_);
}

/// What lies on a disk runs with the keys: in a confidential machine the disk is the adversary's.
cuda::Cache DeviceImpl::cacheFor() const {
  if (isSealed(control_->options().mode) && std::getenv("LOCKSTEP_CACHE_DIR") == nullptr)
    return cuda::Cache::none(
        "sealed modes take kernels from a disk only where LOCKSTEP_CACHE_DIR "
        "names a folder that is to be trusted");
  return cuda::Cache::fromEnvironment();
}

/// How lanes and slots are made: alike everywhere, from what every rank wishes and has.
void DeviceImpl::agree(const DeviceOptions& options) {
  std::vector<Wishes> wishes;
  conclude(cuda::togetherTell<Wishes>(
      control_->peers(), deadline(),
      [&] {
        openDevice(options);
        Wishes mine;
        mine.heapBytes = options.heapBytes;
        mine.slotBytes = options.slotBytes;
        mine.blocks = options.blocks;
        mine.multiprocessors = info_.multiprocessors;
        mine.uuid = cuda::describeMember(context_, worldSize(), 1).uuid;
        mine.kernels = digestOfKernels(options);
        return mine;
      },
      wishes));
  conclude(refuseDifferent(wishes));
  // All blocks of all ranks of a GPU must be resident at once, or one waits for another forever.
  int room = device::kMaxLanes;
  bool shared = false;
  for (const Wishes& w : wishes) {
    const auto sharing = std::ranges::count_if(wishes, [&](const Wishes& other) {
      return std::memcmp(&other.uuid, &w.uuid, sizeof w.uuid) == 0;
    });
    shared = shared || sharing > 1;
    if (&w == &wishes[static_cast<std::size_t>(rank())])
      sharesInProcess_ = sharing > 1 && control_->peers().sameProcess();
    room = std::min(room, std::max(1, w.multiprocessors / static_cast<int>(sharing)));
  }
  const bool all = shared || isSealed(control_->options().mode);
  const int wanted = options.blocks > 0 ? options.blocks : all ? room : kUsualLanes;
  const int lanes = std::min(room, wanted);
  const std::size_t slot = options.slotBytes == 0 ? kUsualSlotBytes : options.slotBytes;
  const auto world = static_cast<std::size_t>(worldSize());
  geometry_.world = static_cast<unsigned>(world);
  geometry_.llBytes = kLlBytes;
  // What is sealed between ranks does not lie in memory that they share.
  geometry_.heapBytes = isSealed(control_->options().mode) ? 0 : options.heapBytes;
  geometry_.slotBytes = static_cast<unsigned>(slot);
  if (options.slotBytes == 0 && options.blocks == 0)
    while (geometry_.slotBytes > kLeastSlotBytes &&
           2 * world * device::kSlots * geometry_.slotBytes * static_cast<std::size_t>(lanes) >
               kSlotBudget)
      geometry_.slotBytes /= 2;
  geometry_.lanes = static_cast<unsigned>(lanes);
  scratchBytes_ = cuda::scratchBytesFor(geometry_, isSealed(control_->options().mode));
  provenance_ = info_.emulated ? "emulated device" : shared ? "gpu-loopback" : "gpu";
  // Whether the GPU itself is in a confidential mode is not known here: the cost is real, the
  // boundary is emulated.
  if (isSealed(control_->options().mode) && !info_.emulated) provenance_ += ", emulated";
}

/// Everything in private device memory, and what points to it.
void DeviceImpl::makeWorld() {
  const std::size_t lanes = geometry_.lanes;
  lanes_ = cuda::DeviceMemory::allocate(context_, sizeof(device::LaneState) * lanes);
  verdict_ = cuda::DeviceMemory::allocate(context_, sizeof(device::Verdict));
  scratch_ = cuda::DeviceMemory::allocate(context_, scratchBytes_ * lanes);
  world_ = cuda::DeviceMemory::allocate(context_, sizeof(device::World));
  cuda::zero(context_, lanes_.address(), lanes_.bytes());
  cuda::zero(context_, verdict_.address(), verdict_.bytes());
  auto world = std::make_unique<device::World>();
  world->geometry = geometry_;
  world->rank = static_cast<unsigned>(rank());
  for (int r = 0; r < worldSize(); ++r)
    world->segments[r] = reinterpret_cast<device::u8*>(segments_->base(r));              // NOLINT
  if (multicast_) world->multicast = reinterpret_cast<device::u8*>(multicast_->base());  // NOLINT
  world->lanes = lanes_.pointer<device::LaneState>();
  world->verdict = verdict_.pointer<device::Verdict>();
  world->scratch = scratch_.pointer<device::u8>();
  world->scratchBytes = scratchBytes_;
  if (isSealed(control_->options().mode)) {
    const std::size_t keys = std::size_t{3} * geometry_.world * lanes;
    keys_.emplace(context_, sizeof(device::SealingKey) * keys);
    world->keys = keys_->pointer<device::SealingKey>();
  }
  cuda::copyToDevice(context_, world_.address(), bytesOf(*world));
  transferDigest_ =
      cc::digest16(fmt::format("lockstep device transfer 1|{}|{}|{}",
                               name(control_->options().mode), worldSize(), geometry_.slotBytes));
}

/// The kernel derives every lane's keys; what it derives them from is wiped everywhere.
void DeviceImpl::makeKeys() {
  Communicator communicator = CommunicatorImpl::wrap(control_);
  const SecretPages sources = gpu::exchangeKeys(communicator);
  const std::size_t bytes = std::size_t{3} * geometry_.world * device::kKeyBytes;
  step(deadline(), [&] {
    const gpu::SecretMemory there(context_, bytes);
    cuda::copyToDevice(context_, there.address(), {sources.data(), bytes});
    device::Launch launch;
    launch.calls[0].world = world_.pointer<device::World>();
    launch.calls[0].in = there.pointer<device::u8>();
    void* parameters[]{&launch};
    const gpu::LoadedKernel& keys = kernels_.get(cuda::keysKernel());
    keys.function.launch({.gridX = geometry_.lanes, .threads = keys.kernel.threads},
                         stream_.handle(), parameters);
    stream_.synchronize();
  });
}

/// One rank compiles, the others find on disk what it made; without a disk each helps itself.
void DeviceImpl::compileKernels(const DeviceOptions& options) {
  const auto until = [&] { return Deadline::in(control_->options().timeout + kCompiling); };
  const bool alone = !kernels_.kept();
  step(until(), [&] {
    if (alone || rank() == 0) prepareKernels(options);
  });
  step(until(), [&] {
    if (!alone && rank() != 0) prepareKernels(options);
  });
}

/// What will be called, as far as it can be told: each way that sizes select, for the types that
/// trainers reduce.
void DeviceImpl::prepareKernels(const DeviceOptions& options) {
  Options ordinary = control_->options();  // what is forced for registered buffers is not for these
  if (ordinary.protocol == "zero_copy") ordinary.protocol.clear();
  std::vector<cuda::KernelRequest> requests;
  for (std::size_t c = 0; c < kCollectives; ++c) {
    const auto collective = static_cast<Collective>(c);
    if (!options.collectives.empty() &&
        std::ranges::find(options.collectives, collective) == options.collectives.end())
      continue;
    const Contract& contract = contractOf(collective);
    for (const DataType type : options.types)
      for (const Reduction reduction : options.reductions)
        for (const bool inPlace : {false, true})
          for (const std::uint64_t bytes : {std::uint64_t{64}, std::uint64_t{1} << 24})
            for (const bool registered : {false, true}) {
              if (registered && (geometry_.heapBytes == 0 || reduction == Reduction::preMulSum))
                continue;
              const cuda::Described call{.collective = collective,
                                         .type = type,
                                         .reduction = reduction,
                                         .root = 0,
                                         .count = contract.hasData ? bytes / sizeOf(type) : 0};
              const gpu::Choice choice = gpu::choose(situationOf(call, registered),
                                                     registered ? control_->options() : ordinary);
              requests.push_back(requestFor(call, choice, inPlace, false));
            }
  }
  std::vector<cuda::Kernel> others;
  const bool sealed = isSealed(control_->options().mode);
  if (sealed) others.push_back(cuda::keysKernel());
  if (options.collectives.empty()) others.push_back(cuda::transferKernel(sealed));
  kernels_.prepare(requests, std::move(others));
}

// ---- calls ----

/// CUDA's default stream would put ranks that share it one behind the other, and the first waits
/// for the second.
cuda::StreamHandle DeviceImpl::streamOf(DeviceStream stream) const {
  return static_cast<cuda::StreamHandle>(stream == nullptr && sharesInProcess_ ? ownStream()
                                                                               : stream);
}

std::string DeviceImpl::cipher() const {
  return isSealed(control_->options().mode) ? "AES-256-GCM in kernels (tables in shared memory)"
                                            : "none";
}

gpu::Situation DeviceImpl::situationOf(const cuda::Described& call, bool registered) const {
  const Contract& contract = contractOf(call.collective);
  const bool many = contract.inPerRank || contract.outPerRank;
  return {.collective = call.collective,
          .bytes = blockBytes(call) * (many ? geometry_.world : 1),
          .worldSize = worldSize(),
          .registered = registered,
          .premultiplied = contract.reduces && call.reduction == Reduction::preMulSum};
}

cuda::KernelRequest DeviceImpl::requestFor(const cuda::Described& call, const gpu::Choice& choice,
                                           bool inPlace, bool rmsNorm) const {
  const Options& options = control_->options();
  return {.algorithm = choice.algorithm,
          .type = call.type,
          .reduction = call.reduction,
          .mode = options.mode,
          .worldSize = worldSize(),
          .inPlace = inPlace,
          .protocol = choice.protocol,
          .root = call.root,
          .rmsNorm = rmsNorm,
          .oneNan = options.reproducible};
}

DeviceImpl::Chosen DeviceImpl::choose(const cuda::Described& call, bool registered, bool inPlace,
                                      unsigned hidden) const {
  gpu::Choice choice = gpu::choose(situationOf(call, registered), control_->options());
  const cuda::KernelRequest request = requestFor(call, choice, inPlace, hidden != 0);
  return {std::move(choice), request, hidden};
}

DeviceImpl::Prepared DeviceImpl::prepare(const cuda::Described& call, const Chosen& chosen) {
  const gpu::Choice& choice = chosen.choice;
  Prepared p;
  p.kernel = &kernels_.get(chosen.request);
  const cuda::Kernel& kernel = p.kernel->kernel;
  p.cut = cuda::cut(kernel, p.kernel->protocol, geometry_, scratchBytes_, call,
                    std::max(1U, chosen.hidden));
  p.fingerprint = cuda::fingerprint(call, kernel, p.cut);
  p.algorithm = choice.algorithm->name;
  p.protocol = kernel.exposes                          ? "zero_copy"
               : choice.protocol == cuda::Protocol::ll ? "ll"
                                                       : "simple";
  p.reason = choice.reason;
  // Of the whole text: a fingerprint is 64 bits, and what records are bound to should be 128.
  p.digest = cc::digest16(fmt::format("lockstep device plan 2|{}|lanes {}|slot {}",
                                      cuda::planText(call, kernel, p.cut), geometry_.lanes,
                                      geometry_.slotBytes));
  return p;
}

const DeviceImpl::Prepared& DeviceImpl::prepared(const Request& request,
                                                 cuda::StreamHandle stream) {
  const cuda::Described& call = request.call;
  const std::size_t in = bytesIn(call), out = bytesOut(call);
  const bool registered = call.count != 0 && (in == 0 || inHeap(request.in, in)) &&
                          (out == 0 || inHeap(request.out, out));
  const auto begin = reinterpret_cast<std::uintptr_t>(request.in);
  const auto end = reinterpret_cast<std::uintptr_t>(request.out);
  const bool inPlace = in != 0 && out != 0 && begin < end + out && end < begin + in;
  const Shape shape{call.collective, call.type,  call.reduction, call.root,
                    call.count,      registered, inPlace,        request.norm.hidden};
  const auto at = prepared_.find(shape);
  if (at != prepared_.end()) return at->second;
  const Chosen chosen = choose(call, registered, inPlace, request.norm.hidden);
  if (!kernels_.has(chosen.request) && cuda::isCapturing(context_, stream))
    lockstep::fail(
        ErrorCode::invalidArgument,
        "{}: its kernel is not compiled yet, and cannot be while the stream is captured; "
        "make the call once before, or name its type in DeviceOptions",
        toString(call));
  constexpr std::size_t kMostShapes = 4096;  // a caller of ever new counts must not fill memory
  if (prepared_.size() >= kMostShapes) prepared_.clear();
  return prepared_.emplace(shape, prepare(call, chosen)).first->second;
}

device::Call DeviceImpl::callOf(const Request& request, const Prepared& p) const {
  device::Call call;
  call.world = world_.pointer<device::World>();
  call.in = static_cast<const device::u8*>(request.in);
  call.out = static_cast<device::u8*>(request.out);
  call.count = p.cut.count;
  call.tileElements = p.cut.tileElements;
  call.what = cuda::pack(request.call) | (p.kernel->kernel.exposes ? cuda::kReadInPlace : 0);
  call.described = request.call.count;
  call.fingerprint = p.fingerprint;
  call.norm = request.norm;
  call.root = static_cast<unsigned>(request.call.root);
  call.divisor = request.call.reduction == Reduction::avg ? geometry_.world : 1;
  if (request.call.reduction == Reduction::preMulSum)
    call.factor = cuda::packFactor(request.call.type, request.factor);
  call.patience =
      static_cast<std::uint64_t>(std::chrono::nanoseconds(control_->options().timeout).count());
  if (p.kernel->kernel.exposes) {
    const std::byte* segment = toPointer(segments_->mine());
    // A buffer that this rank does not have is nobody's to read: any place of the heap will do.
    const std::uint64_t heap = device::Offsets{geometry_}.heap();
    const auto offset = [&](const void* at, std::size_t bytes) {
      return bytes == 0 ? heap
                        : static_cast<std::uint64_t>(static_cast<const std::byte*>(at) - segment);
    };
    call.inOffset = offset(request.in, bytesIn(request.call));
    call.outOffset = offset(request.out, bytesOut(request.call));
    const Contract& contract = contractOf(request.call.collective);
    call.inBytes = blockBytes(request.call) * (contract.inPerRank ? geometry_.world : 1);
    call.outBytes = blockBytes(request.call) * (contract.outPerRank ? geometry_.world : 1);
  }
  std::memcpy(call.digest, p.digest.data(), sizeof call.digest);
  return call;
}

void DeviceImpl::runThroughHost(const Request& request, cuda::StreamHandle stream) {
  checkUsable();
  checkArguments(request);
  if (request.norm.hidden != 0)
    lockstep::fail(
        ErrorCode::unsupported,
        "GPUs that cannot reach each other have no fused all-reduce; call allReduce, and "
        "normalise after it");
  const Contract& contract = contractOf(request.call.collective);
  const auto blocks = [&](std::size_t bytes, bool perRank) -> std::size_t {
    return bytes == 0 ? 0 : perRank ? geometry_.world : 1;
  };
  try {
    bounce_->run(request.call, request.factor,
                 {.in = reinterpret_cast<cuda::DevicePtr>(request.in),    // NOLINT
                  .out = reinterpret_cast<cuda::DevicePtr>(request.out),  // NOLINT
                  .inBlocks = blocks(bytesIn(request.call), contract.inPerRank),
                  .outBlocks = blocks(bytesOut(request.call), contract.outPerRank)},
                 stream);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::unsupported) failed_ = true;
    throw;
  }
}

void DeviceImpl::run(const Request& request, DeviceStream stream) {
  if (bounce_) {
    runThroughHost(request, streamOf(stream));
    return;
  }
  DeviceImpl* const self = this;
  runTogether({&self, 1}, {&request, 1}, stream);
}

void DeviceImpl::runTogether(std::span<DeviceImpl* const> ranks, std::span<const Request> requests,
                             DeviceStream stream) {
  if (ranks.empty() || ranks.size() != requests.size() || ranks.size() > device::kMaxTogether)
    lockstep::fail(ErrorCode::invalidArgument, "{} ranks in one launch; 1 to {} can be",
                   ranks.size(), device::kMaxTogether);
  const cuda::StreamHandle where = ranks[0]->streamOf(stream);
  device::Launch launch;
  const Prepared* first = nullptr;
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    DeviceImpl& rank = *ranks[i];
    if (rank.bounce_)
      lockstep::fail(ErrorCode::unsupported, "ranks that exchange through hosts have no kernel");
    if (std::ranges::count(ranks, &rank) != 1)
      lockstep::fail(ErrorCode::invalidArgument, "rank {} is twice in one launch", rank.rank());
    rank.checkUsable();
    rank.checkArguments(requests[i]);
    const Prepared& prepared = rank.prepared(requests[i], where);
    if (first == nullptr) first = &prepared;
    if (prepared.fingerprint != first->fingerprint ||
        prepared.kernel->kernel.name != first->kernel->kernel.name ||
        rank.context_.device() != ranks[0]->context_.device())
      lockstep::fail(ErrorCode::invalidArgument,
                     "ranks of one launch are on one GPU and make the same call");
    launch.calls[i] = rank.callOf(requests[i], prepared);
  }
  void* parameters[]{&launch};
  // Not cooperative: lanes are worlds by themselves, so it is enough that every block has its turn.
  try {
    first->kernel->function.launch({.gridX = first->cut.blocks,
                                    .gridY = static_cast<unsigned>(ranks.size()),
                                    .threads = first->kernel->kernel.threads},
                                   where, parameters);
  } catch (...) {  // the others would wait for this call
    for (DeviceImpl* rank : ranks) rank->abort();
    throw;
  }
}

Plan DeviceImpl::plan(const cuda::Described& call, bool registered) {
  checkCall(call);
  if (bounce_)
    return {.algorithm = "host",
            .protocol = "bounce",
            .transport = provenance_,
            .tileBytes = 0,
            .depth = 2,
            .reason = multicastPath_};
  const Prepared p = prepare(call, choose(call, registered, false, 0));
  Plan plan;
  plan.algorithm = p.algorithm;
  plan.protocol = p.protocol;
  plan.transport = fmt::format("{}, {}", segments_->describe(), provenance_);
  plan.tileBytes = p.cut.tileElements * p.kernel->kernel.elementBytes;
  plan.depth = static_cast<int>(p.cut.blocks);
  plan.reason = p.reason;
  return plan;
}

DeviceBuffer DeviceImpl::alloc(std::size_t bytes) {
  checkUsable();
  control_->talk("alloc of GPU memory",
                 [&] { shm::compareSizes(control_->peers(), bytes, deadline()); });
  if ((isSealed(control_->options().mode) || bounce_) && bytes != 0) {  // nobody else's to see
    auto memory = std::make_shared<gpu::SecretMemory>(context_, bytes);
    DeviceBuffer buffer;
    buffer.size_ = bytes;
    buffer.data_ = memory->pointer<void>();
    buffer.owner_ = std::move(memory);
    return buffer;
  }
  const auto offset = bytes == 0 ? std::nullopt : heap_->allocate(bytes);
  if (!offset)
    lockstep::fail(ErrorCode::invalidArgument,
                   "alloc: {} bytes; the heap has {} left in one piece of {} (raise "
                   "DeviceOptions::heapBytes)",
                   bytes, heap_->largestFree(), geometry_.heapBytes);
  DeviceBuffer buffer;
  buffer.size_ = bytes;
  buffer.data_ = toPointer(segments_->mine()) + device::Offsets{geometry_}.heap() + *offset;
  buffer.owner_ = std::shared_ptr<void>(
      buffer.data_, [self = shared_from_this(), at = *offset](void*) { self->heap_->free(at); });
  return buffer;
}

}  // namespace lockstep
