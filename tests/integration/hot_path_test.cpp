// What an all-reduce of registered buffers does not do once it has run before: allocate, lock, or
// ask the kernel for anything.
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <stdexcept>
#include <string>

#include <dlfcn.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cpu.hpp"
#include "support/world.hpp"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LOCKSTEP_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define LOCKSTEP_SANITIZED 1
#endif
#endif

namespace {
std::atomic<bool> counting{false};
std::atomic<long> allocations{0};
std::atomic<long> locks{0};

[[maybe_unused]] void count(std::atomic<long>& what) {
  if (counting.load(std::memory_order_relaxed)) what.fetch_add(1, std::memory_order_relaxed);
}
}  // namespace

#ifndef LOCKSTEP_SANITIZED
// This program's own, in front of the C library's; operator new comes here too.
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

void* malloc(std::size_t n) {
  count(allocations);
  return __libc_malloc(n);
}
void* calloc(std::size_t n, std::size_t size) {
  count(allocations);
  return __libc_calloc(n, size);
}
void* realloc(void* p, std::size_t n) {
  count(allocations);
  return __libc_realloc(p, n);
}
void* aligned_alloc(std::size_t alignment, std::size_t n) {
  count(allocations);
  return __libc_memalign(alignment, n);
}
int pthread_mutex_lock(pthread_mutex_t* mutex) {
  using Lock = int (*)(pthread_mutex_t*);
  static const auto real = reinterpret_cast<Lock>(::dlsym(RTLD_NEXT, "pthread_mutex_lock"));
  count(locks);
  return real(mutex);
}
}
#endif

namespace lockstep::testing {
namespace {

constexpr int kCalls = 200;

/// Exit status of a rank that asked the kernel for something.
void onForbidden(int, siginfo_t* info, void*) {
  ::_exit(100 + info->si_syscall % 100);
}

/// From now on any system call but write and exit ends this process.
void forbidSystemCalls() {
  struct sigaction action {};
  action.sa_sigaction = onForbidden;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGSYS, &action, nullptr);
  const auto allow = [](unsigned call) {
    return sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1);
  };
  const sock_filter yes = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      allow(SYS_write),
      yes,
      allow(SYS_exit_group),
      yes,
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
  };
  sock_fprog program{.len = sizeof filter / sizeof *filter, .filter = filter};
  require(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
              ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0,
          "no seccomp here");
}

void stayOnCore(int rank) {
  cpu_set_t allowed, mine;
  CPU_ZERO(&allowed);
  ::sched_getaffinity(0, sizeof allowed, &allowed);
  for (int cpu = 0, seen = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &allowed) && seen++ == rank) {
      CPU_ZERO(&mine);
      CPU_SET(cpu, &mine);
      ::sched_setaffinity(0, sizeof mine, &mine);
      return;
    }
}

/// Few enough to be over before somebody else wants the core: large ones take 100 us.
int callsOf(std::size_t bytes) {
  return bytes < (std::size_t{1} << 16) ? kCalls : kCalls / 20;
}

/// Two ranks on two cores reduce `bytes` of registered memory, in place and not.
std::vector<Outcome> reduceWatched(std::size_t bytes) {
  Meeting meeting;
  return playRanks(Kind::processes, 2, [&](int rank) {
    stayOnCore(rank);
    auto communicator = Communicator::create(meeting.id(rank), rank, 2, optionsOf(Mode::p2p));
    const Buffer in = communicator.alloc(bytes), out = communicator.alloc(bytes);
    const std::size_t elements = bytes / sizeof(float);
    const auto both = [&] {
      communicator.allReduce(in.data(), out.data(), elements, DataType::f32);
      communicator.allReduce(in.data(), in.data(), elements, DataType::f32);
    };
    for (int i = 0; i < 20; ++i) both();
    forbidSystemCalls();
    counting = true;
    for (int i = 0; i < callsOf(bytes); ++i) both();
    counting = false;
    // The report allocates again, and may ask for memory: what is not allowed would hide it.
    if (allocations != 0 || locks != 0) ::_exit(allocations != 0 ? 50 : 51);
    ::_exit(49);  // all went well; no destructor could
  });
}

std::string verdict(const Outcome& outcome) {
  if (outcome.text == "exited with 49") return {};
  if (outcome.text == "exited with 50") return "it allocated";
  if (outcome.text == "exited with 51") return "it locked a mutex";
  return "it made a system call (exit status 100 + number modulo 100): " + outcome.text;
}

TEST(HotPath, NeitherAllocatesNorLocksNorAsksTheKernel) {
#ifdef LOCKSTEP_SANITIZED
  GTEST_SKIP() << "sanitizers allocate and lock on their own";
#endif
  if (allowedCores() < 2) GTEST_SKIP() << "two ranks need two cores";
  for (const std::size_t bytes : {std::size_t{8}, std::size_t{4096}, std::size_t{1} << 20}) {
    // A rank that waits for 10 ms, because something else has the other's core, looks whether the
    // other lives. Not so every time.
    std::string said;
    for (int round = 0; round < 50; ++round) {
      said.clear();
      for (const Outcome& outcome : reduceWatched(bytes)) said += verdict(outcome);
      if (said.empty()) break;
    }
    EXPECT_EQ(said, "") << bytes << " bytes";
  }
}

#ifndef LOCKSTEP_SANITIZED
TEST(HotPath, WhatCountsDoesCount) {
  counting = true;
  std::free(std::malloc(1));
  ::operator delete(::operator new(1));
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  ::pthread_mutex_lock(&mutex);
  ::pthread_mutex_unlock(&mutex);
  counting = false;
  EXPECT_EQ(allocations.exchange(0), 2);
  EXPECT_EQ(locks.exchange(0), 1);
  const auto outcomes = playRanks(Kind::processes, 1, [](int) {
    forbidSystemCalls();
    ::getppid();
  });
  EXPECT_EQ(outcomes[0].text, fmt::format("exited with {}", 100 + SYS_getppid % 100));
}
#endif

}  // namespace
}  // namespace lockstep::testing
