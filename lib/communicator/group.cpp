#include <algorithm>
#include <utility>

#include <sched.h>

#include "base/clock.hpp"
#include "base/cpu.hpp"
#include "communicator/communicator_impl.hpp"
#include "communicator/pending.hpp"
#include <lockstep/group.hpp>

namespace lockstep {

// ---- WorkState ----

namespace {

/// What this thread's last Work was made of, empty but with its memory: small messages would feel
/// three calls of malloc. Behind a plain pointer, since a Work of static storage may end after the
/// thread's own objects have.
class Spare {
 public:
  ~Spare() {
    delete std::exchange(kept_, nullptr);
    closed_ = true;
  }
  static std::unique_ptr<WorkState> take() {
    if (kept_ == nullptr) return std::make_unique<WorkState>();
    return std::unique_ptr<WorkState>(std::exchange(kept_, nullptr));
  }
  static void keep(std::unique_ptr<WorkState> state) {
    thread_local const Spare atThreadsEnd;
    if (closed_ || kept_ != nullptr || state->entries.capacity() > kMost) return;
    (void)&atThreadsEnd;
    state->entries.clear();
    state->shares.clear();
    kept_ = state.release();
  }

 private:
  static constexpr std::size_t kMost = 64;  // a large one is not worth keeping
  static thread_local WorkState* kept_;
  static thread_local bool closed_;
};

thread_local constinit WorkState* Spare::kept_ = nullptr;
thread_local constinit bool Spare::closed_ = false;

}  // namespace

void WorkState::add(const std::shared_ptr<CommunicatorImpl>& communicator,
                    const Pending& operation) {
  entries.push_back({shareOf(communicator), operation});
}

void WorkState::start() {
  for (const Share& share : shares) share.communicator->checkUsable();
  for (const Entry& entry : entries) shares[entry.share].completion.expectOneMore();
  for (Entry& entry : entries) {
    Share& share = shares[entry.share];
    entry.operation.completion = &share.completion;
    share.communicator->enqueue(entry.operation);
  }
  turn();  // what can go at once, goes
}

std::size_t WorkState::shareOf(const std::shared_ptr<CommunicatorImpl>& communicator) {
  for (std::size_t i = 0; i < shares.size(); ++i)
    if (shares[i].communicator == communicator) return i;
  shares.push_back({communicator, Completion()});
  return shares.size() - 1;
}

bool WorkState::done() const {
  return std::all_of(shares.begin(), shares.end(),
                     [](const Share& share) { return share.completion.done(); });
}

std::exception_ptr WorkState::error() const {
  for (const Share& share : shares)
    if (share.completion.error() != nullptr) return share.completion.error();
  return nullptr;
}

bool WorkState::turn() noexcept {
  bool moved = false;
  for (const Share& share : shares) moved |= share.communicator->turn();
  return moved;
}

void WorkState::pause(int& rounds) noexcept {
  constexpr int kSpins = 256;
  const bool spare = std::none_of(shares.begin(), shares.end(), [](const Share& share) {
    return share.communicator->outnumbered();
  });
  for (const Share& share : shares) share.communicator->look();
  if (!spare || rounds == kSpins) {
    ::sched_yield();
    return;
  }
  ++rounds;
  cpuRelax();
}

// ---- Work ----

Work::Work() noexcept = default;
Work::Work(Work&&) noexcept = default;
Work::Work(std::unique_ptr<WorkState> state) : state_(std::move(state)) {}

Work& Work::operator=(Work&& other) noexcept {
  if (this == &other) return *this;
  finish();
  state_ = std::move(other.state_);
  return *this;
}

Work::~Work() {
  finish();
}

void Work::finish() noexcept {
  try {
    wait();
  } catch (...) {  // the communicator keeps it
  }
}

namespace {

/// As long as anybody waits; more would not fit the clock.
constexpr std::chrono::hours kForever{24 * 365 * 100};

/// The end of a Work: its operations are over, so their memory is no longer needed.
bool ended(std::unique_ptr<WorkState>& state) {
  std::unique_ptr<WorkState> over = std::move(state);
  const std::exception_ptr error = over->error();
  Spare::keep(std::move(over));
  if (error != nullptr) std::rethrow_exception(error);
  return true;
}

}  // namespace

bool Work::test() {
  if (state_ == nullptr) return true;
  if (!state_->done() && !state_->turn())
    for (const WorkState::Share& share : state_->shares) share.communicator->look();
  return state_->done() && ended(state_);
}

void Work::wait() {
  if (state_ == nullptr) return;
  if (state_->shares.size() == 1)
    state_->shares[0].communicator->finish(state_->shares[0].completion);
  for (int rounds = 0; !state_->done();)
    if (state_->turn())
      rounds = 0;
    else
      state_->pause(rounds);
  ended(state_);
}

bool Work::waitFor(std::chrono::nanoseconds duration) {
  if (state_ == nullptr) return true;
  const Deadline deadline = Deadline::in(std::min<std::chrono::nanoseconds>(duration, kForever));
  for (int rounds = 0; !state_->done();) {
    if (state_->turn()) {
      rounds = 0;
      continue;
    }
    if (deadline.passed()) return false;
    state_->pause(rounds);
  }
  return ended(state_);
}

// ---- Group ----

Group::Group() = default;
Group::Group(Group&&) noexcept = default;
Group& Group::operator=(Group&&) noexcept = default;
Group::~Group() = default;

WorkState& Group::state() {
  constexpr std::size_t kUsual = 4;
  if (state_ == nullptr) {
    state_ = Spare::take();
    state_->entries.reserve(kUsual);
  }
  return *state_;
}

Group& Group::run(const Communicator& communicator, Collective collective, const void* in,
                  void* out, std::size_t count, DataType type, Reduction reduction, int root,
                  double factor) {
  const auto& impl = CommunicatorImpl::of(communicator);
  state().add(impl, impl->pendingCall({.collective = collective,
                                       .count = count,
                                       .type = type,
                                       .reduction = reduction,
                                       .root = root,
                                       .factor = factor},
                                      in, out));
  return *this;
}

Group& Group::send(const Communicator& communicator, const void* data, std::size_t count,
                   DataType type, int to) {
  const auto& impl = CommunicatorImpl::of(communicator);
  state().add(impl, impl->pendingSend(data, count, type, to));
  return *this;
}

Group& Group::receive(const Communicator& communicator, void* data, std::size_t count,
                      DataType type, int from) {
  const auto& impl = CommunicatorImpl::of(communicator);
  state().add(impl, impl->pendingReceive(data, count, type, from));
  return *this;
}

Group& Group::allToAllV(const Communicator& communicator, const void* in,
                        std::span<const std::size_t> inCounts,
                        std::span<const std::size_t> inOffsets, void* out,
                        std::span<const std::size_t> outCounts,
                        std::span<const std::size_t> outOffsets, DataType type) {
  const auto& impl = CommunicatorImpl::of(communicator);
  for (const Pending& operation :
       impl->pendingAllToAllV(in, {.counts = inCounts, .offsets = inOffsets}, out,
                              {.counts = outCounts, .offsets = outOffsets}, type))
    state().add(impl, operation);
  return *this;
}

Work Group::start() {
  state();
  std::unique_ptr<WorkState> started = std::move(state_);
  started->start();
  return Work(std::move(started));
}

}  // namespace lockstep
