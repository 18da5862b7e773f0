// NCCL, opened at run time: the few functions that the module calls, declared by hand (nccl.h 2.28;
// all of them have been in NCCL, as they are, since 2.7).
#pragma once

#include <cstddef>
#include <string>
#include <type_traits>

namespace lockstep::bench::nccl {

/// ncclResult_t. Only the ones that we tell apart.
enum class Result : int {
  success = 0,      // ncclSuccess
  remoteError = 6,  // ncclRemoteError
};
/// ncclDataType_t
enum class Type : int {
  i8 = 0,
  u8 = 1,
  i32 = 2,
  u32 = 3,
  i64 = 4,
  u64 = 5,
  f16 = 6,
  f32 = 7,
  f64 = 8,
  bf16 = 9,     // since 2.10
  f8e4m3 = 10,  // since 2.24
  f8e5m2 = 11,
};
/// ncclRedOp_t
enum class Op : int { sum = 0, prod = 1, max = 2, min = 3, avg = 4 };

struct UniqueId {  // ncclUniqueId
  char bytes[128];
};
using Comm = struct OpaqueComm*;      // ncclComm_t
using Stream = struct OpaqueStream*;  // cudaStream_t

}  // namespace lockstep::bench::nccl

/// Every function of NCCL that we call: X(our name, symbol, type).
#define LOCKSTEP_NCCL_FUNCTIONS(X)                                                              \
  X(getVersion, ncclGetVersion, Result(int*))                                                   \
  X(getErrorString, ncclGetErrorString, const char*(Result))                                    \
  X(getUniqueId, ncclGetUniqueId, Result(UniqueId*))                                            \
  X(commInitRank, ncclCommInitRank, Result(Comm*, int, UniqueId, int))                          \
  X(commDestroy, ncclCommDestroy, Result(Comm))                                                 \
  X(allReduce, ncclAllReduce, Result(const void*, void*, std::size_t, Type, Op, Comm, Stream))  \
  X(allGather, ncclAllGather, Result(const void*, void*, std::size_t, Type, Comm, Stream))      \
  X(reduceScatter, ncclReduceScatter,                                                           \
    Result(const void*, void*, std::size_t, Type, Op, Comm, Stream))                            \
  X(broadcast, ncclBroadcast, Result(const void*, void*, std::size_t, Type, int, Comm, Stream)) \
  X(reduce, ncclReduce, Result(const void*, void*, std::size_t, Type, Op, int, Comm, Stream))   \
  X(send, ncclSend, Result(const void*, std::size_t, Type, int, Comm, Stream))                  \
  X(receive, ncclRecv, Result(void*, std::size_t, Type, int, Comm, Stream))                     \
  X(groupStart, ncclGroupStart, Result())                                                       \
  X(groupEnd, ncclGroupEnd, Result())

namespace lockstep::bench::nccl {

/// Pointers to NCCL's functions.
struct Library {
#define LOCKSTEP_NCCL_POINTER(member, symbol, ...) std::add_pointer_t<__VA_ARGS__> member = nullptr;
  LOCKSTEP_NCCL_FUNCTIONS(LOCKSTEP_NCCL_POINTER)
#undef LOCKSTEP_NCCL_POINTER
  /// ncclGetLastError, since 2.13; null before.
  const char* (*getLastError)(Comm) = nullptr;
  int version = 0;     ///< 22809 for 2.28.9
  std::string whyNot;  ///< why it cannot be used; empty: it can
};

/// Opened by the first call in the process and kept: libnccl.so.2, or what LOCKSTEP_NCCL_LIBRARY
/// names.
const Library& library();

}  // namespace lockstep::bench::nccl
