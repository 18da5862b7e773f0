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

void WorkState::add(std::shared_ptr<CommunicatorImpl> communicator, const Pending& operation) {
  entries.push_back({std::move(communicator), operation});
}

void WorkState::start() {
  for (const Entry& entry : entries) entry.communicator->checkUsable();
  completion = {.left = entries.size(), .error = nullptr};
  for (Entry& entry : entries) {
    if (std::find(communicators.begin(), communicators.end(), entry.communicator.get()) ==
        communicators.end())
      communicators.push_back(entry.communicator.get());
    entry.operation.completion = &completion;
    entry.communicator->enqueue(entry.operation);
  }
  turn();  // what can go at once, goes
}

bool WorkState::turn() noexcept {
  bool moved = false;
  for (CommunicatorImpl* communicator : communicators) moved |= communicator->turn();
  return moved;
}

void WorkState::pause(int rounds) noexcept {
  constexpr int kSpins = 256;
  const bool spare = std::none_of(communicators.begin(), communicators.end(),
                                  [](const auto* c) { return c->outnumbered(); });
  for (CommunicatorImpl* communicator : communicators) communicator->look();
  if (spare && rounds < kSpins)
    cpuRelax();
  else
    ::sched_yield();
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

/// The end of a Work: its operations are over, so their memory is no longer needed.
bool ended(std::unique_ptr<WorkState>& state) {
  const std::unique_ptr<WorkState> over = std::move(state);
  if (over->completion.error != nullptr) std::rethrow_exception(over->completion.error);
  return true;
}

}  // namespace

bool Work::test() {
  if (state_ == nullptr) return true;
  if (!state_->done() && !state_->turn())
    for (CommunicatorImpl* communicator : state_->communicators) communicator->look();
  return state_->done() && ended(state_);
}

void Work::wait() {
  if (state_ == nullptr) return;
  if (state_->communicators.size() == 1) state_->communicators[0]->finish(state_->completion);
  for (int rounds = 0; !state_->done(); ++rounds)
    if (state_->turn())
      rounds = 0;
    else
      state_->pause(rounds);
  ended(state_);
}

bool Work::waitFor(std::chrono::nanoseconds duration) {
  if (state_ == nullptr) return true;
  const Deadline deadline = Deadline::in(duration);
  for (int rounds = 0; !state_->done(); ++rounds) {
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

Group::Group() : state_(std::make_unique<WorkState>()) {}
Group::Group(Group&&) noexcept = default;
Group& Group::operator=(Group&&) noexcept = default;
Group::~Group() = default;

Group& Group::run(const Communicator& communicator, Collective collective, const void* in,
                  void* out, std::size_t count, DataType type, Reduction reduction, int root,
                  double factor) {
  const auto& impl = CommunicatorImpl::of(communicator);
  state_->add(impl, impl->pendingCall({.collective = collective,
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
  state_->add(impl, impl->pendingSend(data, count, type, to));
  return *this;
}

Group& Group::receive(const Communicator& communicator, void* data, std::size_t count,
                      DataType type, int from) {
  const auto& impl = CommunicatorImpl::of(communicator);
  state_->add(impl, impl->pendingReceive(data, count, type, from));
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
    state_->add(impl, operation);
  return *this;
}

Work Group::start() {
  auto state = std::exchange(state_, std::make_unique<WorkState>());
  state->start();
  return Work(std::move(state));
}

}  // namespace lockstep
