// Operations that have been asked for and are not done: what a Work is made of, and the queue of a
// communicator that runs them.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
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

/// Two buffers have a byte in common.
inline bool overlap(const void* a, std::size_t aBytes, const void* b, std::size_t bBytes) {
  const auto i = reinterpret_cast<std::uintptr_t>(a), o = reinterpret_cast<std::uintptr_t>(b);
  return aBytes != 0 && bBytes != 0 && i < o + bBytes && o < i + aBytes;
}

/// Tells when operations of one communicator that were asked for together have ended. Only that
/// communicator writes it, with its lock held; its user looks without.
class Completion {
 public:
  explicit Completion(std::size_t operations = 0) : left_(operations) {}
  /// Before anything has been started.
  Completion(const Completion& other) : left_(other.left_.load(std::memory_order_relaxed)) {}
  Completion& operator=(const Completion&) = delete;

  void expectOneMore() { store(left_.load(std::memory_order_relaxed) + 1); }
  /// One has ended. If it was the last, this may be gone by now.
  void one(const std::exception_ptr& failure = nullptr) {
    if (failure != nullptr && error_ == nullptr) error_ = failure;
    store(left_.load(std::memory_order_relaxed) - 1);
  }
  bool done() const { return left_.load(std::memory_order_acquire) == 0; }
  /// The first, once done.
  const std::exception_ptr& error() const { return error_; }

 private:
  void store(std::size_t left) { left_.store(left, std::memory_order_release); }
  std::atomic<std::size_t> left_;
  std::exception_ptr error_;
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
  /// Those of one communicator.
  struct Share {
    std::shared_ptr<CommunicatorImpl> communicator;
    Completion completion;
  };
  struct Entry {
    std::size_t share = 0;  ///< number of
    Pending operation;
  };
  // Not moved once they have been started.
  std::vector<Share> shares;
  std::vector<Entry> entries;

  void add(const std::shared_ptr<CommunicatorImpl>& communicator, const Pending& operation);
  void start();
  bool done() const;
  /// Once done: the error of the first share that has one, or null.
  std::exception_ptr error() const;
  /// One round of all communicators; false if nothing moved. Throws nothing: errors are in the
  /// shares.
  bool turn() noexcept;
  /// What to do after a round that moved nothing; counts them.
  void pause(int& rounds) noexcept;

 private:
  std::size_t shareOf(const std::shared_ptr<CommunicatorImpl>& communicator);
};

}  // namespace lockstep
