#include "executor/host/wait.hpp"

#include <atomic>
#include <bit>
#include <ctime>

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cpu.hpp"

namespace lockstep::host {

namespace {

// Rounds of a wait. With a core for each rank, spinning is best and the guard is asked every
// kGuardRounds (about 10 us). With fewer cores than ranks, whoever we wait for may need this very
// core: yield soon.
constexpr std::uint32_t kAbortRounds = 64;
constexpr std::uint32_t kGuardRounds = 1024;
constexpr std::uint32_t kPatientRounds = 16 * kGuardRounds;  // then somebody else may need the core
constexpr std::uint32_t kYieldsPerLook = 8;  // each may last a time slice, if somebody does
constexpr std::uint32_t kSpinsOutnumbered = 2;
constexpr std::uint32_t kYieldsOutnumbered = 256;
constexpr long kSleepNanoseconds = 1000000;  // a bound, not the way to wake: the doorbell is

static_assert(std::endian::native == std::endian::little,
              "a futex is the low half of a 64-bit word");

const std::uint32_t* lowHalf(const shm::Word& word) {
  return reinterpret_cast<const std::uint32_t*>(&word);
}

void futexWake(const shm::Word& word) {
  ::syscall(SYS_futex, lowHalf(word), FUTEX_WAKE, 1 << 20, nullptr, nullptr, 0);
}

}  // namespace

// Store-load order (Dekker): the word was stored before the fence, `asleep` is loaded after it; the
// sleeper stores `asleep` before its fence and lets the kernel compare the word after it. One of
// the two sees the other.
void Doorbell::wake(const shm::Word& word, int rank) {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (fabric_.of(rank).sleep.asleep.load(std::memory_order_relaxed) != 0) futexWake(word);
}

void Doorbell::wakeAll(const shm::Word& word) {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  for (int r = 0; r < fabric_.worldSize(); ++r)
    if (r != fabric_.rank() && fabric_.of(r).sleep.asleep.load(std::memory_order_relaxed) != 0) {
      futexWake(word);
      return;
    }
}

Wait::~Wait() {
  awake();
}

void Wait::awake() {
  if (!announced_) return;
  announced_ = false;
  fabric_.mine().sleep.asleep.store(0, std::memory_order_relaxed);
}

void Wait::pause(const shm::Awaited& awaited) {
  ++rounds_;
  if (!outnumbered_) {
    cpuRelax();
    if (rounds_ > kPatientRounds) {
      ::sched_yield();
      if (rounds_ % kYieldsPerLook == 0) checkAll(awaited);
      return;
    }
    if (rounds_ % kAbortRounds == 0) guard_.checkAbort();
    if (rounds_ % kGuardRounds == 0) checkAll(awaited);
    return;
  }
  if (rounds_ <= kSpinsOutnumbered) {
    cpuRelax();
    return;
  }
  guard_.checkAbort();
  if (rounds_ <= kYieldsOutnumbered) {
    ::sched_yield();
    if (rounds_ % 32 == 0) checkAll(awaited);
    return;
  }
  checkAll(awaited);
  sleep(awaited);
}

// The first call announces; the caller then tries once more, and only the next call sleeps, if the
// word is still what it was when the kernel looks.
void Wait::sleep(const shm::Awaited& awaited) {
  if (awaited.word == nullptr) {
    ::sched_yield();
    return;
  }
  if (!announced_) {
    announced_ = true;
    fabric_.mine().sleep.asleep.store(1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    seen_ = awaited.word->load(std::memory_order_relaxed);
    word_ = awaited.word;
    return;
  }
  if (awaited.word != word_) {  // another word now: announce that one first
    awake();
    return;
  }
  const timespec bound{.tv_sec = 0, .tv_nsec = kSleepNanoseconds};
  ::syscall(SYS_futex, lowHalf(*awaited.word), FUTEX_WAIT, static_cast<std::uint32_t>(seen_),
            &bound, nullptr, 0);
  awake();
}

}  // namespace lockstep::host
