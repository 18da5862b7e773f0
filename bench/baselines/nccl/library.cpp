#include "bench/baselines/nccl/library.hpp"

#include <cstdlib>

#include <dlfcn.h>

namespace lockstep::bench::nccl {
namespace {

Library open() {
  Library l;
  const char* named = std::getenv("LOCKSTEP_NCCL_LIBRARY");
  void* handle = dlopen(named != nullptr ? named : "libnccl.so.2", RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    l.whyNot = std::string("there is no NCCL: ") + dlerror() +
               " (install libnccl2, or name the file in LOCKSTEP_NCCL_LIBRARY)";
    return l;
  }
  const auto find = [&](const char* symbol, auto& function) {
    using Function = std::remove_reference_t<decltype(function)>;
    function = reinterpret_cast<Function>(dlsym(handle, symbol));
    return function != nullptr;
  };
#define LOCKSTEP_NCCL_FIND(member, symbol, ...) \
  if (!find(#symbol, l.member)) l.whyNot = "NCCL is too old: it has no " #symbol;
  LOCKSTEP_NCCL_FUNCTIONS(LOCKSTEP_NCCL_FIND)
#undef LOCKSTEP_NCCL_FIND
  find("ncclGetLastError", l.getLastError);
  if (l.whyNot.empty() && l.getVersion(&l.version) != Result::success)
    l.whyNot = "NCCL does not tell its version";
  return l;
}

}  // namespace

const Library& library() {
  static const Library opened = open();
  return opened;
}

}  // namespace lockstep::bench::nccl
