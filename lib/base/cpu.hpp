// Small things about the processor we run on.
#pragma once

#include <sched.h>

namespace lockstep {

/// Tells the core that this is a spin loop.
inline void cpuRelax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Asks for a cache line in order to write it soon: the other cores' copies go away now, not when
/// the store waits.
inline void prefetchForWrite(const void* line) {
#if defined(__x86_64__)
  asm volatile("prefetchw (%0)"
               :
               : "r"(line));  // a builtin would need -mprfchw; where unknown, it does nothing
#else
  __builtin_prefetch(line, 1);
#endif
}

/// Cores this process may run on (at least 1).
inline int allowedCores() {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  const int n = CPU_COUNT(&set);
  return n > 0 ? n : 1;
}

}  // namespace lockstep
