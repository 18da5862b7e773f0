// MPI as a baseline: whatever implementation `mpi.h` belongs to, started by its mpirun.
#include <array>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include <mpi.h>

#include "bench/baselines/baseline.hpp"
#include "bench/baselines/buffers.hpp"
#include "bench/operation.hpp"

namespace lockstep::bench {
namespace {

/// What is kept between calls of one process: the last failure and the rival's name.
struct State {
  std::string error;
  std::string version;
};

State& state() {
  static State instance;
  return instance;
}

/// 0, or 1 with MPI's own words kept for lastError.
int check(int result, const char* what) {
  if (result == MPI_SUCCESS) return 0;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(result, text.data(), &length);
  state().error =
      std::string(what) + ": " + std::string(text.data(), static_cast<std::size_t>(length));
  return 1;
}

int refuse(const char* why) {
  state().error = why;
  return 1;
}

/// MPI 3 has no floats below 32 bits; what is only moved may be any 16 or 8 bits.
std::optional<MPI_Datatype> typeOf(DataType type, bool reduces) {
  switch (type) {
    case DataType::f32:
      return MPI_FLOAT;
    case DataType::f64:
      return MPI_DOUBLE;
    case DataType::i8:
      return MPI_INT8_T;
    case DataType::u8:
      return MPI_UINT8_T;
    case DataType::i32:
      return MPI_INT32_T;
    case DataType::u32:
      return MPI_UINT32_T;
    case DataType::i64:
      return MPI_INT64_T;
    case DataType::u64:
      return MPI_UINT64_T;
    case DataType::f16:
    case DataType::bf16:
      if (reduces) return std::nullopt;
      return MPI_UINT16_T;
    case DataType::f8e4m3:
    case DataType::f8e5m2:
      if (reduces) return std::nullopt;
      return MPI_UINT8_T;
  }
  return std::nullopt;
}

/// MPI has no average and no premultiplied sum; dividing afterwards, or multiplying before, would
/// be our code, not the rival's.
std::optional<MPI_Op> operationOf(Reduction reduction) {
  switch (reduction) {
    case Reduction::sum:
      return MPI_SUM;
    case Reduction::prod:
      return MPI_PROD;
    case Reduction::min:
      return MPI_MIN;
    case Reduction::max:
      return MPI_MAX;
    case Reduction::avg:
    case Reduction::preMulSum:
      return std::nullopt;
  }
  return std::nullopt;
}

int init(const BaselineGroup*) {  // mpirun has told
  int provided = 0;
  // Errors come back to the caller instead of ending the process.
  if (check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SINGLE, &provided), "MPI_Init_thread"))
    return 1;
  return check(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN),
               "MPI_Comm_set_errhandler");
}

int rank() {
  int value = -1;
  MPI_Comm_rank(MPI_COMM_WORLD, &value);
  return value;
}

int worldSize() {
  int value = -1;
  MPI_Comm_size(MPI_COMM_WORLD, &value);
  return value;
}

/// "Open MPI v4.1.4": the library's version string up to the first comma.
const char* describe() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  if (MPI_Get_library_version(text.data(), &length) != MPI_SUCCESS) return "MPI";
  state().version.assign(text.data(), std::strcspn(text.data(), ",\n"));
  return state().version.c_str();
}

const char* lastError() {
  return state().error.c_str();
}

int supports(std::uint8_t op, std::uint8_t type, std::uint8_t reduction) {
  const bool reduces = contractOf(static_cast<Operation>(op)).reduces;
  return typeOf(static_cast<DataType>(type), reduces) &&
                 (!reduces || operationOf(static_cast<Reduction>(reduction)))
             ? 1
             : 0;
}

/// A broadcast has one buffer; a reduce-scatter in place leaves its result at the beginning of the
/// input instead of in this rank's block.
int takes(std::uint8_t op, int inPlace) {
  switch (static_cast<Operation>(op)) {
    case Operation::broadcast:
      return inPlace;
    case Operation::reduceScatter:
    case Operation::sendRecv:
    case Operation::allToAllV:
      return 1 - inPlace;
    default:
      return 1;
  }
}

void deallocate(void* memory) {
  std::free(memory);
}

/// What Lockstep is called with, as MPI wants it.
struct Call {
  const void* in;
  void* out;
  int count;
  MPI_Datatype type;
  MPI_Op operation;
  int root;
  bool inPlace;  ///< then MPI is told so instead of where this rank's own block is
};

int runCall(Operation op, const Call& c) {
  const MPI_Comm world = MPI_COMM_WORLD;
  const void* in = c.inPlace ? MPI_IN_PLACE : c.in;
  switch (op) {
    case Operation::allReduce:
      return check(MPI_Allreduce(in, c.out, c.count, c.type, c.operation, world), "MPI_Allreduce");
    case Operation::barrier:
      return check(MPI_Barrier(world), "MPI_Barrier");
    case Operation::allGather:
      return check(MPI_Allgather(in, c.count, c.type, c.out, c.count, c.type, world),
                   "MPI_Allgather");
    case Operation::reduceScatter:
      return check(MPI_Reduce_scatter_block(c.in, c.out, c.count, c.type, c.operation, world),
                   "MPI_Reduce_scatter_block");
    case Operation::allToAll:
      return check(MPI_Alltoall(in, c.count, c.type, c.out, c.count, c.type, world),
                   "MPI_Alltoall");
    case Operation::broadcast:
      return check(MPI_Bcast(c.out, c.count, c.type, c.root, world), "MPI_Bcast");
    case Operation::reduce:
      return check(MPI_Reduce(in, c.out, c.count, c.type, c.operation, c.root, world),
                   "MPI_Reduce");
    case Operation::gather:
      return check(MPI_Gather(in, c.count, c.type, c.out, c.count, c.type, c.root, world),
                   "MPI_Gather");
    case Operation::sendRecv: {
      const int ranks = worldSize(), me = rank();
      return check(MPI_Sendrecv(c.in, c.count, c.type, (me + 1) % ranks, 0, c.out, c.count, c.type,
                                (me + ranks - 1) % ranks, 0, world, MPI_STATUS_IGNORE),
                   "MPI_Sendrecv");
    }
    case Operation::allToAllV: {
      static std::vector<int> counts, offsets;
      counts.assign(static_cast<std::size_t>(worldSize()), c.count);
      offsets.resize(counts.size());
      for (std::size_t r = 0; r < counts.size(); ++r) offsets[r] = static_cast<int>(r) * c.count;
      return check(MPI_Alltoallv(c.in, counts.data(), offsets.data(), c.type, c.out, counts.data(),
                                 offsets.data(), c.type, world),
                   "MPI_Alltoallv");
    }
    case Operation::scatter:
      return check(MPI_Scatter(c.in, c.count, c.type, c.inPlace ? MPI_IN_PLACE : c.out, c.count,
                               c.type, c.root, world),
                   "MPI_Scatter");
  }
  return refuse("MPI has no such operation");
}

int run(std::uint8_t number, const void* in, void* out, std::size_t count, std::uint8_t type,
        std::uint8_t reduction, int root) {
  const auto op = static_cast<Operation>(number);
  const Contract& contract = contractOf(op);
  const auto mpiType = typeOf(static_cast<DataType>(type), contract.reduces);
  const auto operation =
      contract.reduces ? operationOf(static_cast<Reduction>(reduction)) : MPI_OP_NULL;
  if (!mpiType || !operation) return refuse("MPI has no such element type or reduction");
  if (count > INT_MAX) return refuse("MPI counts at most 2^31 - 1 elements; ask for a smaller -e");
  const std::size_t block = count * sizeOf(static_cast<DataType>(type));
  return runCall(op, {.in = in,
                      .out = out,
                      .count = static_cast<int>(count),
                      .type = *mpiType,
                      .operation = *operation,
                      .root = root,
                      .inPlace = isInPlace(contract, in, out, rank(), block)});
}

int finalize() {
  return check(MPI_Finalize(), "MPI_Finalize");
}

constexpr BaselineModule kModule{kBaselineAbi,    init,       rank,     worldSize,
                                 describe,        lastError,  supports, takes,
                                 allocateAligned, deallocate, run,      finalize};

}  // namespace
}  // namespace lockstep::bench

extern "C" LOCKSTEP_API const lockstep::bench::BaselineModule* lockstepBaseline() {
  return &lockstep::bench::kModule;
}
