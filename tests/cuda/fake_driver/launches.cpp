// Launches: a thread of the host for each block, all at once, as a cooperative launch has them.
#include <algorithm>
#include <cstring>
#include <vector>

#include "cuda/fake_driver/api.hpp"
#include "cuda/fake_driver/crew.hpp"
#include "cuda/fake_driver/limits.hpp"
#include "cuda/fake_driver/modules.hpp"
#include "cuda/fake_driver/protection.hpp"
#include "cuda/fake_driver/streams.hpp"

namespace lockstep::cuda::fake {
namespace {

struct Shape {
  unsigned gridX = 1, gridY = 1;
  unsigned sharedBytes = 0;
};

/// As much as a GPU would align it.
struct alignas(128) SharedLine {
  unsigned char bytes[128];
};

/// Its shared memory is not zero when it starts, as a GPU's is not.
void playBlock(const Function& function, unsigned x, unsigned y, const Shape& shape,
               const void* launch) {
  SharedLine junk;
  std::memset(&junk, 0xdb, sizeof junk);
  std::vector<SharedLine> shared((shape.sharedBytes + sizeof junk - 1) / sizeof junk, junk);
  const DeviceAccess access(DeviceSet{1} << function.module->context->device);
  function.playBlock(x, y, shape.gridX, reinterpret_cast<unsigned char*>(shared.data()));
  function.kernel(launch);
}

void play(const Function& function, const Shape& shape, const void* launch) {
  playTogether(std::size_t{shape.gridX} * shape.gridY, [&](std::size_t block) {
    const auto number = static_cast<unsigned>(block);
    playBlock(function, number % shape.gridX, number / shape.gridX, shape, launch);
  });
}

/// Blocks of this size that fit on a multiprocessor.
int occupancy(const Function& function, int threads, std::size_t sharedBytes) {
  require(threads > 0 && threads <= kMostThreads);
  if (sharedBytes > static_cast<std::size_t>(function.mostShared)) return 0;
  constexpr int kWarp = 32;
  const int byThreads = kThreadsPerMultiprocessor / ((threads + kWarp - 1) / kWarp * kWarp);
  const int byShared =
      kSharedPerMultiprocessor / (static_cast<int>(sharedBytes) + kSharedPerBlockOverhead);
  return std::min({kBlocksPerMultiprocessor, byThreads, byShared});
}

bool isCooperative(const LaunchConfig& config) {
  require(config.attributeCount == 0 || config.attributes != nullptr);
  for (unsigned i = 0; i < config.attributeCount; ++i)
    if (config.attributes[i].id == LaunchAttributeId::cooperative)
      return config.attributes[i].value.cooperative != 0;
  return false;
}

void requireFits(const Function& function, const LaunchConfig& config) {
  const std::uint64_t blocks = std::uint64_t{config.gridX} * config.gridY;
  const std::uint64_t threads = std::uint64_t{config.blockX} * config.blockY * config.blockZ;
  require(blocks > 0 && config.gridZ == 1);
  require(threads > 0 && threads <= kMostThreads);
  require(config.sharedBytes <= static_cast<unsigned>(function.mostShared));
  const int perMultiprocessor = occupancy(function, static_cast<int>(threads), config.sharedBytes);
  const auto most = static_cast<std::uint64_t>(perMultiprocessor * multiprocessors());
  require(!isCooperative(config) || blocks <= most, Result::cooperativeLaunchTooLarge);
}

}  // namespace

void occupancyMaxActiveBlocks(int* blocks, FunctionHandle handle, int threads,
                              std::size_t sharedBytes) {
  require(blocks != nullptr);
  *blocks = occupancy(*find(handle), threads, sharedBytes);
}

void launchKernelEx(const LaunchConfig* config, FunctionHandle handle, void** parameters,
                    void** extra) {
  require(config != nullptr && parameters != nullptr && parameters[0] != nullptr);
  require(extra == nullptr, Result::notSupported);
  const auto function = find(handle);
  const auto stream = find(config->stream);
  require(function->module->context == stream->context, Result::invalidHandle);
  requireFits(*function, *config);
  // The parameter is the caller's again when the call returns.
  std::vector<SharedLine> launch(function->launchBytes / sizeof(SharedLine) + 1);
  std::memcpy(launch.data(), parameters[0], function->launchBytes);
  const Shape shape{config->gridX, config->gridY, config->sharedBytes};
  submit(stream,
         [function, shape, launch = std::move(launch)] { play(*function, shape, launch.data()); });
}

void launchCooperativeKernel(FunctionHandle handle, unsigned gridX, unsigned gridY, unsigned gridZ,
                             unsigned blockX, unsigned blockY, unsigned blockZ,
                             unsigned sharedBytes, StreamHandle stream, void** parameters) {
  LaunchAttribute cooperative;
  cooperative.id = LaunchAttributeId::cooperative;
  cooperative.value.cooperative = 1;
  LaunchConfig config{gridX,  gridY,       gridZ,  blockX,       blockY,
                      blockZ, sharedBytes, stream, &cooperative, 1};
  launchKernelEx(&config, handle, parameters, nullptr);
}

}  // namespace lockstep::cuda::fake
