// Operations that are under way while the caller does something else, or that must progress
// together.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>

#include <lockstep/communicator.hpp>
#include <lockstep/types.hpp>

namespace lockstep {

class WorkState;

/// Operations under way. They move on when somebody asks: in test and wait of this or another Work
/// of the same communicators, in blocking calls on these communicators, and by themselves with
/// Options::progressThread. Until they are done, their buffers belong to them and must stay where
/// they are.
///
/// The calls below throw what the operations threw; of several, the first, once all have ended.
class LOCKSTEP_API Work {
 public:
  /// Done.
  Work() noexcept;
  Work(Work&&) noexcept;
  /// Waits for what was under way before, as the destructor does.
  Work& operator=(Work&& other) noexcept;
  /// Waits for the end; an error is lost here, but the communicator has failed and says so.
  ~Work();

  /// Does what can be done now, without waiting. True: all is done.
  bool test();
  /// Waits until all is done. No wait for another rank is longer than Options::timeout.
  void wait();
  /// As wait, but for at most `duration`. False: it is still under way, as if nobody had asked; its
  /// buffers must stay, and only a later test or wait, or the destructor (which waits), ends that.
  /// There is no taking it back: to give up, Communicator::abort, and then wait, which throws.
  bool waitFor(std::chrono::nanoseconds duration);

 private:
  friend class Group;
  explicit Work(std::unique_ptr<WorkState> state);
  void finish() noexcept;
  std::unique_ptr<WorkState> state_;
};

/// Collects operations on one or several communicators, and starts them together. On each
/// communicator collectives run in the order they were added, one after the other; sends and
/// receives between two collectives progress side by side, those to (or from) one rank in order.
///
///     Group group;
///     group.send(comm, right, count, DataType::f32, next)
///         .receive(comm, left, count, DataType::f32, previous);
///     group.start().wait();
///
/// Ranks must start the same collectives in the same order on each communicator. Throws
/// invalidArgument as the blocking calls do, when an operation is added; the group is then as it
/// was before. One that was moved from is empty.
class LOCKSTEP_API Group {
 public:
  Group();
  Group(Group&&) noexcept;
  Group& operator=(Group&&) noexcept;
  ~Group();

  /// As Communicator::run.
  Group& run(const Communicator& communicator, Collective collective, const void* in, void* out,
             std::size_t count, DataType type, Reduction reduction = Reduction::sum, int root = 0,
             double factor = 1.0);
  /// As Communicator::send; `to` may be this rank, if the group receives it.
  Group& send(const Communicator& communicator, const void* data, std::size_t count, DataType type,
              int to);
  /// As Communicator::receive; `from` may be this rank.
  Group& receive(const Communicator& communicator, void* data, std::size_t count, DataType type,
                 int from);
  /// As Communicator::allToAllV.
  Group& allToAllV(const Communicator& communicator, const void* in,
                   std::span<const std::size_t> inCounts, std::span<const std::size_t> inOffsets,
                   void* out, std::span<const std::size_t> outCounts,
                   std::span<const std::size_t> outOffsets, DataType type);

  /// Starts all, and is empty again. Throws, and starts nothing, when a communicator has failed.
  [[nodiscard]] Work start();

 private:
  WorkState& state();
  std::unique_ptr<WorkState> state_;  ///< null: empty
};

}  // namespace lockstep
