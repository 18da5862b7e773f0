#include "cuda/host_kernels.hpp"

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <stdexcept>
#include <thread>

#include <dlfcn.h>
#include <fmt/format.h>
#include <unistd.h>

#include "executor/cuda/prelude/sealing_key.cuh"

namespace lockstep::testing {
namespace {

namespace fs = std::filesystem;

/// A folder of this process's own, gone with its owner.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (fs::temp_directory_path() / "lockstep-kernels-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = name;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

}  // namespace

HostModule::HostModule(std::span<const cuda::Kernel> kernels, const HostBuild& build)
    : threads_(build.threads) {
  const ScratchFolder folder;
  const fs::path source = folder.path() / "kernels.cpp", object = folder.path() / "kernels.so",
                 log = folder.path() / "log";
  std::set<std::string> written;
  std::ofstream text(source);
  for (const cuda::Kernel& kernel : kernels)
    if (written.insert(kernel.name).second) text << kernel.text;
  text.close();
  std::string platform;
  if (threads_ > 1)
    platform = fmt::format("-DLOCKSTEP_PLATFORM='\"cuda/block_platform.cuh\"' -I{}/tests",
                           LOCKSTEP_SOURCE_DIR);
  const std::string command = fmt::format(
      "{} -std=c++20 {} -ffp-contract=off -fPIC -shared -DLOCKSTEP_HOST_MODULE "
      "-DLOCKSTEP_SHARED_BYTES=49152 -DLOCKSTEP_THREADS={} {} {} -I{} -o {} {} > {} 2>&1",
      LOCKSTEP_CXX, build.flags, threads_, platform, LOCKSTEP_KERNEL_FLAGS, build.root,
      object.string(), source.string(), log.string());
  if (std::system(command.c_str()) != 0) {  // NOLINT: the tests' own compiler and files
    std::stringstream words;
    words << std::ifstream(log).rdbuf();
    throw std::runtime_error(words.str().substr(0, 4000));
  }
  library_ = dlopen(object.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library_ == nullptr) throw std::runtime_error(dlerror());
  play_ = reinterpret_cast<decltype(play_)>(symbol("lockstepPlayBlock"));
  if (threads_ == 1) return;
  newBlock_ = reinterpret_cast<decltype(newBlock_)>(symbol("lockstepNewBlock"));
  playThread_ = reinterpret_cast<decltype(playThread_)>(symbol("lockstepPlayThread"));
  deleteBlock_ = reinterpret_cast<decltype(deleteBlock_)>(symbol("lockstepDeleteBlock"));
}

HostModule::~HostModule() {
  if (library_ != nullptr) dlclose(library_);
}

void* HostModule::symbol(const std::string& name) const {
  void* symbol = dlsym(library_, name.c_str());
  if (symbol == nullptr) throw std::runtime_error("the module has no " + name);
  return symbol;
}

void HostModule::runBlock(unsigned x, unsigned blocks, const std::function<void()>& body) const {
  if (threads_ == 1) {
    play_(x, 0, blocks);
    body();
    return;
  }
  void* const block = newBlock_(threads_);
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < threads_; ++i)
    threads.emplace_back([&, i] {
      play_(x, 0, blocks);
      playThread_(block, i);
      body();
    });
  for (std::thread& thread : threads) thread.join();
  deleteBlock_(block);
}

void HostWorld::Freer::operator()(std::byte* memory) const {
  std::free(memory);  // NOLINT
}

HostWorld::Memory HostWorld::zeroed(std::size_t bytes) {
  const std::size_t rounded = (bytes + 4095) / 4096 * 4096;
  Memory memory(static_cast<std::byte*>(std::aligned_alloc(4096, rounded)));
  std::memset(memory.get(), 0, rounded);
  return memory;
}

HostWorld::HostWorld(device::Geometry geometry, std::size_t scratchBytes)
    : geometry_(geometry),
      scratchBytes_(scratchBytes),
      worlds_(geometry.world),
      verdicts_(geometry.world) {
  std::vector<device::u8*> segments;
  for (unsigned rank = 0; rank < geometry.world; ++rank) {
    memory_.push_back(zeroed(device::Offsets{geometry}.bytes()));
    segments.push_back(reinterpret_cast<device::u8*>(memory_.back().get()));
  }
  for (unsigned rank = 0; rank < geometry.world; ++rank) {
    device::World& world = worlds_[rank];
    world.geometry = geometry;
    world.rank = rank;
    std::copy(segments.begin(), segments.end(), world.segments);
    memory_.push_back(zeroed(sizeof(device::LaneState) * geometry.lanes));
    world.lanes = reinterpret_cast<device::LaneState*>(memory_.back().get());
    memory_.push_back(zeroed(scratchBytes * geometry.lanes));
    world.verdict = &verdicts_[rank];
    world.scratch = reinterpret_cast<device::u8*>(memory_.back().get());
    world.scratchBytes = scratchBytes;
  }
}

void HostWorld::prepareKeys(const HostModule& module, unsigned salt) {
  const unsigned ranks = geometry_.world;
  std::vector<std::vector<std::byte>> sources(ranks);
  std::vector<device::Launch> launches(ranks);
  // A key's bytes say whose it is.
  const auto append = [&](std::vector<std::byte>& to, unsigned sender, unsigned receiver) {
    for (unsigned i = 0; i < 32; ++i)
      to.push_back(static_cast<std::byte>(sender * 64 + receiver * 3 + i * 7 + salt));
  };
  for (unsigned rank = 0; rank < ranks; ++rank) {
    for (unsigned peer = 0; peer < ranks; ++peer) append(sources[rank], rank, peer);
    for (unsigned peer = 0; peer < ranks; ++peer) append(sources[rank], peer, rank);
    for (unsigned peer = 0; peer < ranks; ++peer) append(sources[rank], peer, 77);
    memory_.push_back(zeroed(sizeof(device::SealingKey) * 3 * ranks * geometry_.lanes));
    worlds_[rank].keys = reinterpret_cast<device::SealingKey*>(memory_.back().get());
    launches[rank].calls[0].world = &worlds_[rank];
    launches[rank].calls[0].in = reinterpret_cast<const device::u8*>(sources[rank].data());
  }
  run(module, std::vector(ranks, module.entry(cuda::keysKernel().name)), launches,
      std::vector(ranks, geometry_.lanes));
}

std::byte* HostWorld::heap(int rank) const {
  return memory_[static_cast<std::size_t>(rank)].get() + device::Offsets{geometry_}.heap();
}

void HostWorld::forget(int rank) {
  control(rank) = {};
  verdicts_[static_cast<std::size_t>(rank)] = {};
}

std::span<std::byte> HostWorld::segment(int rank) const {
  return {memory_[static_cast<std::size_t>(rank)].get(), device::Offsets{geometry_}.bytes()};
}

device::Control& HostWorld::control(int rank) const {
  return *reinterpret_cast<device::Control*>(memory_[static_cast<std::size_t>(rank)].get());
}

device::LaneState& HostWorld::lane(int rank, unsigned lane) const {
  return worlds_[static_cast<std::size_t>(rank)].lanes[lane];
}

device::Launch HostWorld::launchOf(int rank, const Shape& shape, Operands operands) const {
  device::Launch launch;
  device::Call& call = launch.calls[0];
  call.world = &worlds_[static_cast<std::size_t>(rank)];
  call.in = reinterpret_cast<const device::u8*>(operands.in);
  call.out = reinterpret_cast<device::u8*>(operands.out);
  call.count = shape.count;
  call.tileElements = shape.tileElements;
  call.root = static_cast<unsigned>(shape.root);
  call.divisor = static_cast<unsigned>(shape.divisor);
  call.fingerprint = shape.fingerprint;
  call.patience = static_cast<std::uint64_t>(shape.patience.count()) * 1000000;
  call.inBytes = shape.inBytes;
  call.outBytes = shape.outBytes;
  const std::byte* segment = memory_[static_cast<std::size_t>(rank)].get();
  call.inOffset = static_cast<std::uint64_t>(operands.in - segment);
  call.outOffset = static_cast<std::uint64_t>(operands.out - segment);
  return launch;
}

void HostWorld::run(const HostModule& module, const std::vector<HostModule::Entry>& entries,
                    const std::vector<device::Launch>& launches,
                    const std::vector<unsigned>& blocks, bool inTurn) const {
  std::vector<std::thread> threads;
  for (std::size_t rank = 0; rank < entries.size(); ++rank)
    for (unsigned block = 0; entries[rank] != nullptr && block < blocks[rank]; ++block) {
      const auto run = [&, rank, block] {
        module.runBlock(block, blocks[rank], [&] { entries[rank](launches[rank]); });
      };
      if (inTurn)
        run();
      else
        threads.emplace_back(run);
    }
  for (std::thread& thread : threads) thread.join();
}

void HostWorld::run(const HostModule& module, HostModule::Entry entry, const Shape& shape,
                    std::span<const Operands> operands) const {
  std::vector<device::Launch> launches;
  for (std::size_t rank = 0; rank < operands.size(); ++rank)
    launches.push_back(launchOf(static_cast<int>(rank), shape, operands[rank]));
  run(module, std::vector(operands.size(), entry), launches,
      std::vector(operands.size(), shape.blocks));
}

std::size_t tileElementsFor(const cuda::Kernel& kernel, std::size_t capacity) {
  // A chunk has whole lines of 64 bytes, a block of a message whole 16 bytes.
  const std::size_t perChunk =
      capacity / (std::max(1U, kernel.messageChunks) * std::max(1U, kernel.messageBlocks));
  return perChunk / 64 * 64 / kernel.elementBytes * kernel.chunks;
}

}  // namespace lockstep::testing
