// The kernels that `ccbench seal` runs, and their rates.
#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include <fmt/format.h>

#include "base/cuda/devices.hpp"
#include "base/cuda/memory.hpp"
#include "base/cuda/module.hpp"
#include "base/cuda/stream.hpp"
#include "base/fail.hpp"
#include "bench/gpu_seal.hpp"
#include "bench/gpu_subject.hpp"
#include "executor/cuda/compile_all.hpp"
#include "executor/cuda/prelude/sealing_key.cuh"

namespace lockstep::bench {
namespace {

using Does = SealKernel::Does;

constexpr unsigned kThreads = 256;
/// Of a multiprocessor at once: their tables take three quarters of its shared memory.
constexpr unsigned kTogether = 3;

/// What the kernels are told; as in their text.
struct SealWork {
  cuda::DevicePtr keys = 0, plain = 0, sealed = 0, refused = 0;
  std::uint64_t messages = 0, counter = 0;
  std::uint32_t bytes = 0, stride = 0;  ///< of a message; from one to the next, with its tag
};

constexpr const char* kText = R"(#include "executor/cuda/prelude/gcm.cuh"
namespace lockstep::device {{
struct SealWork {{
  SealingKey* keys;
  u8* plain;
  u8* sealed;
  u64* refused;
  u64 messages, counter;
  u32 bytes, stride;
}};
using Shared = GcmShared<Cipher::{0}>;
static_assert(sizeof(Shared) <= LOCKSTEP_SHARED_BYTES);

LOCKSTEP_INLINE void work(const SealWork& launch, Shared& shared) {{
  SealingKey& key = launch.keys[blockOfRank()];
  {2}
}}
}}  // namespace lockstep::device

LOCKSTEP_KERNEL_OF({1}, lockstep::device::SealWork) {{
  using namespace lockstep::device;
  auto& shared = *reinterpret_cast<Shared*>(sharedMemory());
  prepareShared(shared);
  work(launch, shared);
  wipeShared(shared);
}}
)";

/// Any 32 bytes do for a key here.
constexpr const char* kPrepare = "prepareLaneKey(key, launch.plain, blockOfRank(), shared);";
/// `{}`: what is done with a message, between `plain` and `slot`.
constexpr const char* kEach =
    R"(for (u64 m = blockOfRank(); m < launch.messages; m += blocksPerRank()) {{
    u8* const plain = launch.plain + m * launch.bytes;
    u8* const slot = launch.sealed + m * launch.stride;
    u8* const tag = slot + launch.bytes;
    {}
  }})";
constexpr const char* kSeal =
    "sealMessage(key, launch.counter + m, RecordName{}, plain, slot, tag, launch.bytes, shared);";
constexpr const char* kOpen =
    "if (!openMessage(key, launch.counter + m, RecordName{}, slot, tag, plain, launch.bytes, "
    "shared) && thread() == 0) take(launch.refused, 1);";

std::string nameOf(const SealKernel& kernel) {
  const char* does = kernel.does == Does::prepare ? "prepare"
                     : kernel.does == Does::seal  ? "seal"
                                                  : "open";
  return fmt::format("lockstep_{}_{}", does, kernel.cipher);
}

/// Buffers and kernels of one cipher.
class Sealing {
 public:
  Sealing(const cuda::PrimaryContext& context, const std::string& cipher, std::size_t most)
      : context_(context),
        most_(most),
        stream_(cuda::Stream::create(context)),
        clock_(context),
        blocks_(kTogether * static_cast<unsigned>(cuda::attribute(
                                context.device(), cuda::DeviceAttribute::multiprocessorCount))),
        plain_(cuda::DeviceMemory::allocate(context, most)),
        sealed_(cuda::DeviceMemory::allocate(context, most + most / kLeastMessage * kTagStride)),
        keys_(cuda::DeviceMemory::allocate(context, blocks_ * sizeof(device::SealingKey))),
        refused_(cuda::DeviceMemory::allocate(context, sizeof(std::uint64_t))) {
    cuda::zero(context, refused_.address(), refused_.bytes());
    fill(most);
    load(cipher);
    launch(Does::prepare, {});
    stream_.synchronize();
  }

  SealRate rate(const std::string& cipher, std::size_t message, std::size_t bytes) {
    SealWork work = workOf(message, bytes);
    SealRate rate{.cipher = cipher, .messageBytes = message, .bytes = bytes};
    rate.sealed = perSecond(bytes, [&] {
      work.counter = std::exchange(counter_, counter_ + work.messages);
      launch(Does::seal, work);
    });
    rate.opened = perSecond(bytes, [&] { launch(Does::open, work); });
    check(work);
    return rate;
  }

  static constexpr std::size_t kLeastMessage = std::size_t{4} << 10;

 private:
  /// Tags lie behind their messages, which begin at 128 bytes.
  static constexpr std::size_t kTagStride = 128;

  /// What is sealed: the same in every MiB.
  void fill(std::size_t bytes) const {
    std::vector<std::byte> pattern(std::min(bytes, kPattern));
    for (std::size_t i = 0; i < pattern.size(); ++i) pattern[i] = patternAt(i);
    for (std::size_t at = 0; at < bytes; at += pattern.size())
      cuda::copyToDevice(context_, plain_.address() + at,
                         std::span(pattern).first(std::min(pattern.size(), bytes - at)));
  }
  static constexpr std::size_t kPattern = std::size_t{1} << 20;
  static std::byte patternAt(std::size_t i) {
    return static_cast<std::byte>(i * 0x9e3779b97f4a7c15U >> 32);
  }

  void load(const std::string& cipher) {
    std::vector<cuda::KernelSource> sources;
    for (const Does does : {Does::prepare, Does::seal, Does::open})
      sources.push_back(sourceOf(SealKernel{cipher, does}));
    const DeviceInfo info = cuda::deviceInfo(context_.device());
    const cuda::Cache cache = cuda::Cache::fromEnvironment();
    const auto compiled =
        cuda::compileAll(sources, {info.computeMajor, info.computeMinor},
                         {.threads = 0, .driverVersion = cuda::driver().version, .cache = &cache});
    for (std::size_t i = 0; i < functions_.size(); ++i) {
      const auto& image = compiled.cubins[i].image;
      functions_[i] = cuda::Function::find(
          cuda::Module::load(context_, {reinterpret_cast<const char*>(image.data()), image.size()}),
          sources[i].name);
    }
  }

  SealWork workOf(std::size_t message, std::size_t bytes) const {
    SealWork work{.keys = keys_.address(),
                  .plain = plain_.address(),
                  .sealed = sealed_.address(),
                  .refused = refused_.address()};
    work.bytes = static_cast<std::uint32_t>(message);
    work.stride = static_cast<std::uint32_t>(message + kTagStride);
    work.messages = bytes / message;
    return work;
  }

  void launch(Does does, SealWork work) const {
    if (work.keys == 0) work = workOf(kLeastMessage, 0);
    void* parameters[]{&work};
    functions_[static_cast<std::size_t>(does)].launch({.gridX = blocks_, .threads = kThreads},
                                                      stream_.handle(), parameters);
  }

  /// The median of some spells, each of several launches.
  template <class Launch>
  double perSecond(std::size_t bytes, Launch one) {
    constexpr int kSpells = 7;
    const int launches = static_cast<int>(std::clamp<std::size_t>(2 * most_ / bytes, 1, 64));
    std::vector<double> seconds;
    for (int spell = 0; spell < kSpells; ++spell)
      seconds.push_back(clock_.seconds(
          stream_.handle(),
          [&] {
            for (int i = 0; i < launches; ++i) one();
          },
          [&] { stream_.synchronize(); }));
    std::ranges::sort(seconds);
    return static_cast<double>(bytes) * launches / seconds[kSpells / 2];
  }

  /// What was opened is there, and a changed message is refused.
  void check(const SealWork& work) {
    std::vector<std::byte> opened(work.bytes);
    cuda::copyToHost(context_, opened, work.plain + (work.messages - 1) * work.bytes);
    const std::size_t first = (work.messages - 1) * work.bytes % kPattern;
    bool right = refusals() == before_;
    for (std::size_t i = 0; i < opened.size(); ++i) right &= opened[i] == patternAt(first + i);
    if (!right) fail(ErrorCode::internal, "what was opened is not what was sealed");
    std::array<std::byte, 1> changed{};
    cuda::copyToHost(context_, changed, work.sealed);
    changed[0] ^= std::byte{1};
    cuda::copyToDevice(context_, work.sealed, changed);
    launch(Does::open, work);
    stream_.synchronize();
    if (refusals() != ++before_) fail(ErrorCode::internal, "a message that was changed was opened");
    fill(work.bytes);  // it was wiped
  }
  std::uint64_t refusals() const {
    std::uint64_t count = 0;
    cuda::copyToHost(context_, std::as_writable_bytes(std::span(&count, 1)), refused_.address());
    return count;
  }

  cuda::PrimaryContext context_;
  std::size_t most_;
  cuda::Stream stream_;
  StreamClock clock_;
  unsigned blocks_;
  cuda::DeviceMemory plain_, sealed_, keys_, refused_;
  std::array<cuda::Function, 3> functions_;  ///< by what they do
  std::uint64_t counter_ = 0, before_ = 0;
};

}  // namespace

cuda::KernelSource sourceOf(const SealKernel& kernel) {
  const std::string work = kernel.does == Does::prepare
                               ? kPrepare
                               : fmt::format(kEach, kernel.does == Does::seal ? kSeal : kOpen);
  return {.name = nameOf(kernel),
          .text = fmt::format(kText, kernel.cipher, nameOf(kernel), work),
          .defines = {fmt::format("LOCKSTEP_THREADS={}", kThreads),
                      fmt::format("LOCKSTEP_BLOCKS_TOGETHER={}", kTogether),
                      "LOCKSTEP_SHARED_BYTES=49152"}};
}

std::vector<SealRate> measureSealing(const cuda::PrimaryContext& context, std::size_t most) {
  std::vector<SealRate> rates;
  for (const char* cipher : {"table", "bitsliced"}) {
    Sealing sealing(context, cipher, most);
    for (const std::size_t bytes : {most / 256, most / 16, most})
      for (const std::size_t kib : {4, 16, 64})
        if (const std::size_t message = kib << 10; message <= bytes)
          rates.push_back(sealing.rate(cipher, message, bytes / message * message));
  }
  return rates;
}

}  // namespace lockstep::bench
