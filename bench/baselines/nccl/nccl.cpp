// NCCL as a baseline, on device memory and in streams. Ranks can be threads of one process, each on
// its GPU, so everything is kept by thread.
#include <optional>
#include <string>
#include <vector>

#include "bench/baselines/baseline.hpp"
#include "bench/baselines/nccl/library.hpp"
#include "bench/operation.hpp"

namespace lockstep::bench {
namespace {

using nccl::library;
using nccl::Result;

struct State {
  std::string error, version;
  nccl::Comm comm = nullptr;
  int rank = 0, worldSize = 1;
};

State& state() {
  thread_local State instance;
  return instance;
}

/// 0, or what kind of failure it was, with NCCL's own words kept for lastError.
int check(Result result, const char* what) {
  if (result == Result::success) return 0;
  std::string& error = state().error;
  error = std::string(what) + ": " + library().getErrorString(result);
  if (library().getLastError != nullptr)
    if (const char* more = library().getLastError(state().comm); more != nullptr && *more != '\0')
      error += std::string(" (") + more + ")";
  return result == Result::remoteError ? kBaselinePeerGone : 1;
}

int refuse(const char* why) {
  state().error = why;
  return 1;
}

std::optional<nccl::Type> typeOf(DataType type) {
  switch (type) {
    case DataType::f16:
      return nccl::Type::f16;
    case DataType::bf16:
      return nccl::Type::bf16;
    case DataType::f32:
      return nccl::Type::f32;
    case DataType::f64:
      return nccl::Type::f64;
    case DataType::i8:
      return nccl::Type::i8;
    case DataType::u8:
      return nccl::Type::u8;
    case DataType::i32:
      return nccl::Type::i32;
    case DataType::u32:
      return nccl::Type::u32;
    case DataType::i64:
      return nccl::Type::i64;
    case DataType::u64:
      return nccl::Type::u64;
    default:
      return std::nullopt;  // NCCL's f8 are of some GPUs only
  }
}

std::optional<nccl::Op> operatorOf(Reduction reduction) {
  switch (reduction) {
    case Reduction::sum:
      return nccl::Op::sum;
    case Reduction::prod:
      return nccl::Op::prod;
    case Reduction::min:
      return nccl::Op::min;
    case Reduction::max:
      return nccl::Op::max;
    case Reduction::avg:
      return nccl::Op::avg;
    default:
      return std::nullopt;
  }
}

/// Rank 0's id, for all.
std::optional<nccl::UniqueId> shareId(const BaselineGroup& group) {
  nccl::UniqueId mine{};
  if (group.rank == 0 && check(library().getUniqueId(&mine), "its id") != 0) return std::nullopt;
  std::vector<nccl::UniqueId> all(static_cast<std::size_t>(group.worldSize));
  if (group.allGather(group.context, &mine, all.data(), sizeof mine) != 0) return std::nullopt;
  return all.front();
}

int init(const BaselineGroup* group) {
  if (!library().whyNot.empty()) {
    state().error = library().whyNot;
    return kBaselineMissing;
  }
  const int version = library().version;
  state().version = "NCCL " + std::to_string(version / 10000) + "." +
                    std::to_string(version / 100 % 100) + "." + std::to_string(version % 100);
  state().rank = group->rank;
  state().worldSize = group->worldSize;
  const auto id = shareId(*group);
  if (!id) return 1;
  return check(library().commInitRank(&state().comm, group->worldSize, *id, group->rank),
               "joining (it takes one rank per GPU)");
}

int rank() {
  return state().rank;
}
int worldSize() {
  return state().worldSize;
}
const char* describe() {
  return state().version.c_str();
}
const char* lastError() {
  return state().error.c_str();
}

int supports(std::uint8_t number, std::uint8_t type, std::uint8_t reduction) {
  const auto op = static_cast<Operation>(number);
  switch (op) {
    case Operation::allReduce:
    case Operation::reduceScatter:
    case Operation::reduce:
      return typeOf(static_cast<DataType>(type)) && operatorOf(static_cast<Reduction>(reduction));
    case Operation::allGather:
    case Operation::broadcast:
    case Operation::allToAll:
    case Operation::sendRecv:
      return 1;
    default:
      return 0;  // it has no barrier, and gathers only since lately
  }
}

/// What is made of sends and receives cannot be done in place.
int takes(std::uint8_t number, int inPlace) {
  const auto op = static_cast<Operation>(number);
  return inPlace == 0 || (op != Operation::allToAll && op != Operation::sendRecv);
}

struct Call {
  const char* in;
  char* out;
  std::size_t count, bytes;  ///< of a block
  nccl::Type type;
  nccl::Op op;
  int root;
  nccl::Stream stream;
};

/// Blocks to some ranks and from some, all at once.
template <class Exchange>
Result grouped(Exchange exchange) {
  if (const Result result = library().groupStart(); result != Result::success) return result;
  const Result inside = exchange();
  const Result end = library().groupEnd();
  return inside != Result::success ? inside : end;
}

Result exchange(const Call& c, const void* out, int to, void* in, int from) {
  const Result sent = library().send(out, c.bytes, nccl::Type::u8, to, state().comm, c.stream);
  if (sent != Result::success) return sent;
  return library().receive(in, c.bytes, nccl::Type::u8, from, state().comm, c.stream);
}

Result allToAll(const Call& c) {
  return grouped([&] {
    for (int r = 0; r < state().worldSize; ++r) {
      const std::size_t at = static_cast<std::size_t>(r) * c.bytes;
      if (const Result result = exchange(c, c.in + at, r, c.out + at, r); result != Result::success)
        return result;
    }
    return Result::success;
  });
}

Result passOn(const Call& c) {
  const int ranks = state().worldSize, rank = state().rank;
  return grouped(
      [&] { return exchange(c, c.in, (rank + 1) % ranks, c.out, (rank + ranks - 1) % ranks); });
}

/// What is only moved is moved as bytes: NCCL need not know the type.
Result callOf(Operation op, const Call& c) {
  const auto& l = library();
  const nccl::Comm comm = state().comm;
  switch (op) {
    case Operation::allReduce:
      return l.allReduce(c.in, c.out, c.count, c.type, c.op, comm, c.stream);
    case Operation::reduceScatter:
      return l.reduceScatter(c.in, c.out, c.count, c.type, c.op, comm, c.stream);
    case Operation::reduce:
      return l.reduce(c.in, c.out, c.count, c.type, c.op, c.root, comm, c.stream);
    case Operation::allGather:
      return l.allGather(c.in, c.out, c.bytes, nccl::Type::u8, comm, c.stream);
    case Operation::broadcast:
      return l.broadcast(c.in, c.out, c.bytes, nccl::Type::u8, c.root, comm, c.stream);
    case Operation::allToAll:
      return allToAll(c);
    default:
      return passOn(c);
  }
}

int enqueue(std::uint8_t number, const void* in, void* out, std::size_t count, std::uint8_t type,
            std::uint8_t reduction, int root, void* stream) {
  if (supports(number, type, reduction) == 0)
    return refuse("NCCL has no such collective, type or reduction");
  const auto element = static_cast<DataType>(type);
  return check(callOf(static_cast<Operation>(number),
                      {.in = static_cast<const char*>(in),
                       .out = static_cast<char*>(out),
                       .count = count,
                       .bytes = count * sizeOf(element),
                       .type = typeOf(element).value_or(nccl::Type::u8),
                       .op = operatorOf(static_cast<Reduction>(reduction)).value_or(nccl::Op::sum),
                       .root = root,
                       .stream = static_cast<nccl::Stream>(stream)}),
               "its call");
}

int finalize() {
  return check(library().commDestroy(state().comm), "leaving");
}

// Buffers are ccbench's, in device memory.
constexpr BaselineModule kModule{kBaselineAbi, init,     rank,   worldSize, describe,
                                 lastError,    supports, takes,  nullptr,   nullptr,
                                 nullptr,      finalize, enqueue};

}  // namespace
}  // namespace lockstep::bench

extern "C" LOCKSTEP_API const lockstep::bench::BaselineModule* lockstepBaseline() {
  return &lockstep::bench::kModule;
}
