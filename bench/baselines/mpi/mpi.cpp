// MPI as a baseline: whatever implementation `mpi.h` belongs to, started by its mpirun.
#include <array>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <optional>
#include <string>

#include <mpi.h>

#include "bench/baselines/baseline.hpp"
#include <lockstep/types.hpp>

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

/// MPI 3 has no half-precision floats.
std::optional<MPI_Datatype> typeOf(std::uint8_t type) {
  switch (static_cast<DataType>(type)) {
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
      return std::nullopt;
  }
  return std::nullopt;
}

/// MPI has no average, and dividing afterwards would be our code, not the rival's.
std::optional<MPI_Op> operationOf(std::uint8_t reduction) {
  switch (static_cast<Reduction>(reduction)) {
    case Reduction::sum:
      return MPI_SUM;
    case Reduction::prod:
      return MPI_PROD;
    case Reduction::min:
      return MPI_MIN;
    case Reduction::max:
      return MPI_MAX;
    case Reduction::avg:
      return std::nullopt;
  }
  return std::nullopt;
}

int init() {
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

int supports(std::uint8_t type, std::uint8_t reduction) {
  return typeOf(type) && operationOf(reduction) ? 1 : 0;
}

/// Aligned like Lockstep's own buffers, so that neither side gains by its pages.
void* allocate(std::size_t bytes) {
  constexpr std::size_t kHugePage = std::size_t{2} << 20;
  const std::size_t unit = bytes >= kHugePage ? kHugePage : 4096;
  void* memory = std::aligned_alloc(unit, (bytes + unit - 1) / unit * unit);
  if (memory != nullptr) std::memset(memory, 0, bytes);
  return memory;
}

void deallocate(void* memory) {
  std::free(memory);
}

int barrier() {
  return check(MPI_Barrier(MPI_COMM_WORLD), "MPI_Barrier");
}

int allReduce(const void* in, void* out, std::size_t count, std::uint8_t type,
              std::uint8_t reduction) {
  const auto mpiType = typeOf(type);
  const auto operation = operationOf(reduction);
  if (!mpiType || !operation) return refuse("MPI has no such element type or reduction");
  if (count > INT_MAX) return refuse("MPI counts at most 2^31 - 1 elements; ask for a smaller -e");
  return check(MPI_Allreduce(in == out ? MPI_IN_PLACE : in, out, static_cast<int>(count), *mpiType,
                             *operation, MPI_COMM_WORLD),
               "MPI_Allreduce");
}

int finalize() {
  return check(MPI_Finalize(), "MPI_Finalize");
}

constexpr BaselineModule kModule{kBaselineAbi, init,      rank,      worldSize,
                                 describe,     lastError, supports,  allocate,
                                 deallocate,   barrier,   allReduce, finalize};

}  // namespace
}  // namespace lockstep::bench

extern "C" LOCKSTEP_API const lockstep::bench::BaselineModule* lockstepBaseline() {
  return &lockstep::bench::kModule;
}
