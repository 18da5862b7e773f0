// The public face: nothing but forwarding.
#include <atomic>
#include <exception>
#include <thread>
#include <utility>

#include "base/fail.hpp"
#include "base/secret.hpp"
#include "bootstrap/launch.hpp"
#include "bootstrap/peers.hpp"
#include "bootstrap/rendezvous.hpp"
#include "cc_mode/aead/aead.hpp"
#include "cc_mode/keys/handshake.hpp"
#include "cc_mode/keys/psk.hpp"
#include "collectives/schedule.hpp"
#include "communicator/communicator_impl.hpp"
#include "communicator/settings.hpp"
#include "communicator/tuning.hpp"
#include <lockstep/communicator.hpp>

namespace lockstep {

namespace {

void checkPsk(std::span<const std::byte> psk, std::string_view whose) {
  if (!psk.empty() && psk.size() < cc::kMinPskBytes)
    fail(ErrorCode::invalidArgument,
         "the pre-shared key of {} has {} bytes; it needs at least {} random ones", whose,
         psk.size(), cc::kMinPskBytes);
}

/// What has to be looked up: made here only to hear of errors, and again when the ranks have met.
void checkNames(const Options& options, int worldSize) {
  const bool sealed = isSealed(options.mode);
  if (sealed && !options.cipher.empty()) static_cast<void>(cc::createAead(options.cipher));
  const TuningTable table =
      options.tuningFile.empty() ? TuningTable::builtIn() : TuningTable::read(options.tuningFile);
  // Of every collective: one that has the algorithm, but not with that protocol, could not be
  // called.
  for (std::size_t c = 0; c < kCollectives; ++c)
    static_cast<void>(table.select({.collective = static_cast<Collective>(c),
                                    .mode = options.mode,
                                    .worldSize = worldSize,
                                    .bytes = 8,
                                    .direct = !sealed,
                                    .zeroCopy = !sealed,
                                    .reproducible = options.reproducible},
                                   options.algorithm, options.protocol));
}

/// What is wrong with a rank's options is told before it waits for the others.
Options checked(Options options, int worldSize) {
  const WipeAtEnd wiper(options.psk);  // of one that is refused
  options = withEnvironment(std::move(options));
  if (worldSize < 1 || worldSize > schedule::kMaxWorld)
    fail(ErrorCode::invalidArgument, "world size {}: Lockstep runs 1 to {} ranks on a host",
         worldSize, schedule::kMaxWorld);
  if (static_cast<std::size_t>(options.mode) >= kModes)
    fail(ErrorCode::invalidArgument, "no such mode ({})", static_cast<int>(options.mode));
  constexpr std::chrono::hours kLongest{24};
  if (options.timeout.count() < 1 || options.timeout > kLongest)
    fail(ErrorCode::invalidArgument, "the timeout is {} ms; it takes 1 ms to 24 hours",
         options.timeout.count());
  constexpr std::uint64_t kLeastRekey = 1 << 20;
  if (options.rekeyBytes != 0 && options.rekeyBytes < kLeastRekey)
    fail(ErrorCode::invalidArgument, "keys replaced every {} bytes: it takes 1 MiB at least, or 0",
         options.rekeyBytes);
  const Attestation* attestation = options.attestation.get();
  if (attestation != nullptr && (!attestation->quote || !attestation->verify))
    fail(ErrorCode::invalidArgument,
         "Options::attestation has no function to {}: it would authenticate nobody",
         !attestation->quote ? "make this rank's quote" : "verify the other ranks' quotes");
  if (isSealed(options.mode) && options.psk.empty() && attestation == nullptr &&
      !options.insecureKeys)
    fail(ErrorCode::invalidArgument,
         "mode {} needs Options::psk (32 random bytes that all ranks share), or "
         "Options::attestation, or Options::insecureKeys to go without authentication",
         name(options.mode));
  if (isSealed(options.mode)) checkPsk(options.psk, "Options::psk");
  checkNames(options, worldSize);
  return options;
}

/// All come by `deadline`. From then on those who came last, and those who waited, have as long.
std::shared_ptr<CommunicatorImpl> meet(const std::string& id, int rank, int worldSize,
                                       Options options, Deadline deadline) {
  const WipeAtEnd wiper(options.psk);  // should they not meet
  auto peers = joinProcesses(id, rank, worldSize, deadline, options.psk);
  const Deadline end = Deadline::in(options.timeout);
  return std::make_shared<CommunicatorImpl>(std::move(peers), std::move(options), end);
}

}  // namespace

std::vector<std::byte> readPskFile(const std::string& path) {
  return cc::readPskFile(path);
}

UniqueId UniqueId::create(std::string_view address, std::span<const std::byte> psk) {
  checkPsk(psk, "a UniqueId");
  return UniqueId(openMeetingPoint(address, psk));
}

UniqueId UniqueId::parse(std::string_view text) {
  checkMeetingPoint(text);
  return UniqueId(std::string(text));
}

Communicator Communicator::create(const UniqueId& id, int rank, int worldSize,
                                  const Options& options) {
  Options effective = checked(options, worldSize);
  const WipeAtEnd wiper(effective.psk);
  if (rank < 0 || rank >= worldSize)
    fail(ErrorCode::invalidArgument, "rank {} is not in a world of {} (0 to {})", rank, worldSize,
         worldSize - 1);
  const Deadline deadline = Deadline::in(effective.timeout);
  return CommunicatorImpl::wrap(meet(id.text(), rank, worldSize, std::move(effective), deadline));
}

Communicator Communicator::createFromEnvironment(const Options& options) {
  // The n-th call of every rank is one meeting. A call that fails counts too.
  static std::atomic<unsigned> calls{0};
  const unsigned call = calls.fetch_add(1);
  const launch::Place place = launch::find();
  try {
    Options effective = checked(options, place.worldSize);
    const WipeAtEnd wiper(effective.psk);
    const auto psk = isSealed(effective.mode) ? std::span<const std::byte>(effective.psk)
                                              : std::span<const std::byte>();
    const auto openOne = [&] { return UniqueId::create({}, psk).text(); };
    const Deadline deadline = Deadline::in(effective.timeout);
    const std::string id = meetAt({.name = fmt::format("{}#{}", place.job, call),
                                   .rank = place.rank,
                                   .worldSize = place.worldSize,
                                   .psk = psk},
                                  openOne, deadline);
    if (!psk.empty() && !isKeyedMeetingPoint(id))
      throw Error(ErrorCode::keyExchange, 0, {},
                  "another process of this user plays rank 0: it named a meeting point without a "
                  "key");
    checkMeetingPoint(id);
    return CommunicatorImpl::wrap(
        meet(id, place.rank, place.worldSize, std::move(effective), deadline));
  } catch (const Error& error) {
    throw Error(error.code(), error.rank(), error.operation(),
                fmt::format("{} ({})", error.what(), toString(place)));
  }
}

std::vector<Communicator> Communicator::createInProcess(int worldSize, const Options& options) {
  Options effective = checked(options, worldSize);
  const WipeAtEnd wiper(effective.psk);
  const Deadline deadline = Deadline::in(effective.timeout);
  auto ends = joinThreads(worldSize);
  std::vector<std::shared_ptr<CommunicatorImpl>> impls(ends.size());
  std::vector<std::exception_ptr> errors(ends.size());
  std::vector<std::thread> threads;
  for (std::size_t r = 0; r < ends.size();
       ++r)  // creation is collective: every rank needs a thread for it
    threads.emplace_back([&, r] {
      try {
        impls[r] = std::make_shared<CommunicatorImpl>(std::move(ends[r]), effective, deadline);
      } catch (...) {
        errors[r] = std::current_exception();
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
  std::vector<Communicator> communicators;
  communicators.reserve(impls.size());
  for (auto& impl : impls) communicators.push_back(CommunicatorImpl::wrap(std::move(impl)));
  return communicators;
}

void CommunicatorImpl::throwMovedFrom() {
  fail(ErrorCode::invalidArgument,
       "this communicator was moved elsewhere and has no rank any more: use the one it was moved "
       "to");
}

namespace {

/// Who does it; throws for a communicator that was moved from.
CommunicatorImpl& of(const Communicator& communicator) {
  return *CommunicatorImpl::of(communicator);
}

}  // namespace

Communicator::Communicator(std::shared_ptr<CommunicatorImpl> impl) : impl_(std::move(impl)) {}
Communicator::Communicator(Communicator&&) noexcept = default;
Communicator& Communicator::operator=(Communicator&&) noexcept = default;
Communicator::~Communicator() = default;

int Communicator::rank() const noexcept {
  return impl_ == nullptr ? -1 : impl_->rank();
}
int Communicator::worldSize() const noexcept {
  return impl_ == nullptr ? 0 : impl_->worldSize();
}
const Options& Communicator::options() const noexcept {
  static const Options none;
  return impl_ == nullptr ? none : impl_->options();
}

void Communicator::allReduce(const void* in, void* out, std::size_t count, DataType type,
                             Reduction reduction) {
  run(Collective::allReduce, in, out, count, type, reduction);
}
void Communicator::allReduce(const void* in, void* out, std::size_t count, DataType type,
                             PremultipliedSum sum) {
  run(Collective::allReduce, in, out, count, type, Reduction::preMulSum, 0, sum.factor);
}
void Communicator::allGather(const void* in, void* out, std::size_t count, DataType type) {
  run(Collective::allGather, in, out, count, type);
}
void Communicator::reduceScatter(const void* in, void* out, std::size_t count, DataType type,
                                 Reduction reduction) {
  run(Collective::reduceScatter, in, out, count, type, reduction);
}
void Communicator::reduceScatter(const void* in, void* out, std::size_t count, DataType type,
                                 PremultipliedSum sum) {
  run(Collective::reduceScatter, in, out, count, type, Reduction::preMulSum, 0, sum.factor);
}
void Communicator::allToAll(const void* in, void* out, std::size_t count, DataType type) {
  run(Collective::allToAll, in, out, count, type);
}
void Communicator::broadcast(const void* in, void* out, std::size_t count, DataType type,
                             int root) {
  run(Collective::broadcast, in, out, count, type, Reduction::sum, root);
}
void Communicator::reduce(const void* in, void* out, std::size_t count, DataType type,
                          Reduction reduction, int root) {
  run(Collective::reduce, in, out, count, type, reduction, root);
}
void Communicator::reduce(const void* in, void* out, std::size_t count, DataType type,
                          PremultipliedSum sum, int root) {
  run(Collective::reduce, in, out, count, type, Reduction::preMulSum, root, sum.factor);
}
void Communicator::gather(const void* in, void* out, std::size_t count, DataType type, int root) {
  run(Collective::gather, in, out, count, type, Reduction::sum, root);
}
void Communicator::scatter(const void* in, void* out, std::size_t count, DataType type, int root) {
  run(Collective::scatter, in, out, count, type, Reduction::sum, root);
}
void Communicator::run(Collective collective, const void* in, void* out, std::size_t count,
                       DataType type, Reduction reduction, int root, double factor) {
  CommunicatorImpl::Request request{.collective = collective,
                                    .count = count,
                                    .type = type,
                                    .reduction = reduction,
                                    .root = root,
                                    .factor = factor};
  of(*this).run(request, in, out);
}
void Communicator::barrier() {
  CommunicatorImpl::Request request{.collective = Collective::barrier};
  of(*this).run(request, nullptr, nullptr);
}
void Communicator::send(const void* data, std::size_t count, DataType type, int to) {
  CommunicatorImpl& impl = of(*this);
  Pending operation = impl.pendingSend(data, count, type, to);
  impl.transfer(operation);
}
void Communicator::receive(void* data, std::size_t count, DataType type, int from) {
  CommunicatorImpl& impl = of(*this);
  Pending operation = impl.pendingReceive(data, count, type, from);
  impl.transfer(operation);
}
void Communicator::exchange(const Send& send, const Receive& receive) {
  of(*this).exchange(send, receive);
}
void Communicator::allToAllV(const void* in, std::span<const std::size_t> inCounts,
                             std::span<const std::size_t> inOffsets, void* out,
                             std::span<const std::size_t> outCounts,
                             std::span<const std::size_t> outOffsets, DataType type) {
  CommunicatorImpl& impl = of(*this);
  std::vector<Pending> operations =
      impl.pendingAllToAllV(in, {.counts = inCounts, .offsets = inOffsets}, out,
                            {.counts = outCounts, .offsets = outOffsets}, type);
  impl.transferAll(operations);
}
void Communicator::abort() noexcept {
  if (impl_ != nullptr) impl_->abort();
}
Buffer Communicator::alloc(std::size_t bytes) {
  return of(*this).alloc(bytes);
}
std::optional<Communicator> Communicator::split(int color, int key) {
  auto child = of(*this).split(color, key);
  if (child == nullptr) return std::nullopt;
  return Communicator(std::move(child));
}
Communicator Communicator::duplicate() {
  return Communicator(of(*this).duplicate());
}
Communicator Communicator::shrink() {
  return Communicator(of(*this).shrink());
}
void Communicator::retune(std::string_view json, std::string_view name) {
  of(*this).retune(json, name);
}
Plan Communicator::planAllReduce(std::size_t count, DataType type, bool registered) const {
  return plan(Collective::allReduce, count, type, registered);
}
Plan Communicator::plan(Collective collective, std::size_t count, DataType type,
                        bool registered) const {
  return of(*this).explain({.collective = collective, .count = count, .type = type}, registered);
}
Counters Communicator::counters() const noexcept {
  return impl_ == nullptr ? Counters() : impl_->counters();
}
std::string Communicator::cipher() const {
  return of(*this).cipher();
}
std::string Communicator::keySource() const {
  return of(*this).keySource();
}
std::string Communicator::ordinaryPath() const {
  return of(*this).ordinaryPath();
}

}  // namespace lockstep
