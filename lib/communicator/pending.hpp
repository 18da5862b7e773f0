// Operations that have been asked for and are not done: what a Work is made of, and the queue of a
// communicator that runs them.
#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <vector>

#include "executor/host/transfer.hpp"
#include <lockstep/communicator.hpp>
#include <lockstep/types.hpp>

namespace lockstep {

class CommunicatorImpl;

/// What a collective call is, besides its buffers.
struct Request {
  Collective collective = Collective::allReduce;
  std::size_t count = 0;  ///< elements of a block
  DataType type = DataType::u8;
  Reduction reduction = Reduction::sum;
  int root = 0;
  double factor = 1.0;  ///< of preMulSum
};

/// What a call's buffers come to on this rank.
struct Extent {
  std::size_t inBytes = 0, outBytes = 0;  ///< 0: this rank has no such buffer
  bool inPlace = false;
};

/// Tells when operations that were asked for together have ended.
struct Completion {
  std::size_t left = 0;
  std::exception_ptr error;  ///< the first
  void one(const std::exception_ptr& failure = nullptr) {
    --left;
    if (failure != nullptr && error == nullptr) error = failure;
  }
};

/// One operation: a transfer, or a collective with its buffers. Stays where it is until it is done.
struct Pending : host::Transfer {
  bool isCollective = false;
  Request request;
  const void* in = nullptr;
  void* out = nullptr;
  Extent extent;
  Completion* completion = nullptr;
};

/// The operations of one Group or Work.
class WorkState {
 public:
  struct Entry {
    std::shared_ptr<CommunicatorImpl> communicator;
    Pending operation;
  };
  std::vector<Entry> entries;                    ///< not moved once they have been started
  std::vector<CommunicatorImpl*> communicators;  ///< each once
  Completion completion;

  void add(std::shared_ptr<CommunicatorImpl> communicator, const Pending& operation);
  void start();
  bool done() const { return completion.left == 0; }
  /// One round of all communicators; false if nothing moved. Throws nothing: errors are in
  /// `completion`.
  bool turn() noexcept;
  /// What to do after rounds that moved nothing.
  void pause(int rounds) noexcept;
};

}  // namespace lockstep
