// A library with NCCL's names and binary interface, for ranks that are threads of one process. A
// call waits for its stream, then copies through the host, so it takes no graph and tells no time.
// It reduces sums of f32, and sends nothing.
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include <dlfcn.h>

#include "bench/baselines/nccl/library.hpp"

using lockstep::bench::nccl::Op;
using lockstep::bench::nccl::Result;
using lockstep::bench::nccl::Stream;
using lockstep::bench::nccl::Type;
using lockstep::bench::nccl::UniqueId;

namespace {

constexpr auto kInternalError = static_cast<Result>(3);
constexpr auto kInvalidUsage = static_cast<Result>(5);

/// What ranks of one communicator share: a barrier, and what each has put in.
class World {
 public:
  explicit World(int ranks) : given(static_cast<std::size_t>(ranks)), ranks_(ranks) {}
  std::vector<std::vector<char>> given;

  void meet() {
    std::unique_lock lock(mutex_);
    const long turn = turn_;
    if (++come_ == ranks_) {
      come_ = 0;
      ++turn_;
      all_.notify_all();
      return;
    }
    all_.wait(lock, [&] { return turn_ != turn; });
  }

 private:
  const int ranks_;
  std::mutex mutex_;
  std::condition_variable all_;
  int come_ = 0;
  long turn_ = 0;
};

struct Worlds {
  std::mutex mutex;
  std::map<std::uint64_t, std::pair<World*, int>> open;  ///< by id, with the ranks that are in it
  std::uint64_t next = 1;
};

Worlds& worlds() {
  static Worlds all;
  return all;
}

/// The driver's functions, of the library that the program itself uses.
template <class Function>
Function driver(const char* symbol) {
  static void* const library = dlopen(std::getenv("LOCKSTEP_CUDA_LIBRARY"), RTLD_NOW);
  return reinterpret_cast<Function>(dlsym(library, symbol));
}

bool copyToHost(void* to, const void* from, std::size_t bytes, Stream stream) {
  using Synchronize = int (*)(Stream);
  using Copy = int (*)(void*, std::uint64_t, std::size_t);
  return driver<Synchronize>("cuStreamSynchronize")(stream) == 0 &&
         driver<Copy>("cuMemcpyDtoH_v2")(to, reinterpret_cast<std::uint64_t>(from), bytes) == 0;
}

bool copyToDevice(void* to, const void* from, std::size_t bytes) {
  using Copy = int (*)(std::uint64_t, const void*, std::size_t);
  return driver<Copy>("cuMemcpyHtoD_v2")(reinterpret_cast<std::uint64_t>(to), from, bytes) == 0;
}

}  // namespace

namespace lockstep::bench::nccl {

struct OpaqueComm {
  World* world;
  int rank, ranks;
  std::uint64_t id;
};

}  // namespace lockstep::bench::nccl

namespace {

using lockstep::bench::nccl::Comm;

/// Everybody's input, to be looked at between two meetings.
template <class Use>
Result together(Comm comm, const void* in, std::size_t bytes, Stream stream, Use use) {
  World& world = *comm->world;
  std::vector<char>& mine = world.given[static_cast<std::size_t>(comm->rank)];
  mine.resize(bytes);
  const bool read = copyToHost(mine.data(), in, bytes, stream);
  world.meet();
  const bool written = use(world.given);
  world.meet();
  return read && written ? Result::success : kInternalError;
}

bool isSumOfFloats(Type type, Op op) {
  return type == Type::f32 && op == Op::sum;
}

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT Result ncclGetVersion(int* version) {
  *version = 22809;
  return Result::success;
}

EXPORT const char* ncclGetErrorString(Result result) {
  return result == kInvalidUsage ? "invalid usage" : "internal error";
}

EXPORT const char* ncclGetLastError(Comm) {
  return "the fake NCCL cannot";
}

EXPORT Result ncclGetUniqueId(UniqueId* id) {
  const std::scoped_lock lock(worlds().mutex);
  const std::uint64_t mine = worlds().next++;
  std::memcpy(id->bytes, &mine, sizeof mine);
  return Result::success;
}

EXPORT Result ncclCommInitRank(Comm* comm, int ranks, UniqueId id, int rank) {
  if (std::getenv("LOCKSTEP_FAKE_NCCL_REFUSES") != nullptr) return kInvalidUsage;
  std::uint64_t number = 0;
  std::memcpy(&number, id.bytes, sizeof number);
  const std::scoped_lock lock(worlds().mutex);
  auto& [world, members] = worlds().open[number];
  if (world == nullptr) world = new World(ranks);
  ++members;
  *comm = new lockstep::bench::nccl::OpaqueComm{world, rank, ranks, number};
  return Result::success;
}

EXPORT Result ncclCommDestroy(Comm comm) {
  const std::scoped_lock lock(worlds().mutex);
  auto& [world, members] = worlds().open[comm->id];
  if (--members == 0) {
    delete world;
    worlds().open.erase(comm->id);
  }
  delete comm;
  return Result::success;
}

EXPORT Result ncclAllReduce(const void* in, void* out, std::size_t count, Type type, Op op,
                            Comm comm, Stream stream) {
  if (!isSumOfFloats(type, op)) return kInternalError;
  return together(comm, in, count * sizeof(float), stream, [&](const auto& given) {
    std::vector<float> sum(count), one(count);
    for (const std::vector<char>& from : given) {
      std::memcpy(one.data(), from.data(), from.size());
      for (std::size_t i = 0; i < count; ++i) sum[i] += one[i];
    }
    return copyToDevice(out, sum.data(), count * sizeof(float));
  });
}

EXPORT Result ncclAllGather(const void* in, void* out, std::size_t count, Type type, Comm comm,
                            Stream stream) {
  if (type != Type::u8) return kInternalError;
  return together(comm, in, count, stream, [&](const auto& given) {
    std::vector<char> all;
    for (const std::vector<char>& from : given) all.insert(all.end(), from.begin(), from.end());
    return copyToDevice(out, all.data(), all.size());
  });
}

EXPORT Result ncclReduceScatter(const void*, void*, std::size_t, Type, Op, Comm, Stream) {
  return kInternalError;
}
EXPORT Result ncclBroadcast(const void*, void*, std::size_t, Type, int, Comm, Stream) {
  return kInternalError;
}
EXPORT Result ncclReduce(const void*, void*, std::size_t, Type, Op, int, Comm, Stream) {
  return kInternalError;
}
EXPORT Result ncclSend(const void*, std::size_t, Type, int, Comm, Stream) {
  return kInternalError;
}
EXPORT Result ncclRecv(void*, std::size_t, Type, int, Comm, Stream) {
  return kInternalError;
}
EXPORT Result ncclGroupStart() {
  return Result::success;
}
EXPORT Result ncclGroupEnd() {
  return Result::success;
}
