// Peers that are threads of one process: a board that they write to and read from under a lock.
#include <atomic>
#include <bit>
#include <condition_variable>
#include <cstring>
#include <memory>
#include <mutex>
#include <utility>

#include <fcntl.h>

#include "base/fail.hpp"
#include "bootstrap/frame.hpp"
#include "bootstrap/peers.hpp"

namespace lockstep {

namespace {

class Board {
 public:
  explicit Board(int worldSize) : all_(allRanks(worldSize)), given_(std::size_t(worldSize)) {}

  int worldSize() const { return static_cast<int>(given_.size()); }
  RankSet left() const noexcept { return left_; }

  std::vector<Bytes> allGather(int rank, std::span<const std::byte> mine, Deadline deadline) {
    std::unique_lock lock(mutex_);
    failIfBroken();
    const std::uint64_t round = round_;
    given_[static_cast<std::size_t>(rank)].assign(mine.begin(), mine.end());
    have_ |= rankBit(rank);
    if (have_ == all_)
      publish();
    else
      waitForRound(lock, round, deadline);
    // The next round cannot end before this rank has given to it: the result stays.
    return *result_;
  }

  void leave(int rank) noexcept {
    const std::lock_guard lock(mutex_);
    left_ |= rankBit(rank);
    changed_.notify_all();
  }

 private:
  void publish() {
    result_ = std::make_unique<std::vector<Bytes>>(given_);
    have_ = 0;
    ++round_;
    changed_.notify_all();
  }

  void waitForRound(std::unique_lock<std::mutex>& lock, std::uint64_t round, Deadline deadline) {
    while (round_ == round) {
      failIfBroken();
      // Not wait_until(): it hands a time point of "never" to a clock that cannot hold it.
      const bool bounded = deadline.at() != Clock::time_point::max();
      if (!bounded)
        changed_.wait(lock);
      else if (changed_.wait_until(lock, deadline.at()) == std::cv_status::timeout &&
               round_ == round)
        giveUp();
    }
  }

  void giveUp() {
    if (givenUp_ == 0) givenUp_ = all_ & ~have_;
    changed_.notify_all();
    failIfBroken();
  }

  /// Once a rank has left or been given up, no all-gather can succeed any more.
  void failIfBroken() const {
    if (givenUp_ != 0)
      throw Error(ErrorCode::timeout, std::countr_zero(givenUp_), {},
                  fmt::format("waited for an exchange of all threads: {} of {} {} not taken part",
                              describe(givenUp_), worldSize(), have(givenUp_)));
    const RankSet missing = left_ & ~have_;
    if (missing != 0)
      throw Error(ErrorCode::peerDied, std::countr_zero(missing), {},
                  fmt::format("{} {} left the communicator while others wait in it",
                              describe(missing), have(missing)));
  }

  const RankSet all_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Bytes> given_;                    ///< by rank, in the round in progress
  RankSet have_ = 0;                            ///< who has given
  std::uint64_t round_ = 0;                     ///< rounds that are complete
  std::unique_ptr<std::vector<Bytes>> result_;  ///< of the last one
  RankSet givenUp_ = 0;                         ///< who was missing when a deadline passed
  std::atomic<RankSet> left_{0};                ///< whose Peers is destroyed
};

class ThreadPeers final : public Peers {
 public:
  ThreadPeers(std::shared_ptr<Board> board, int rank) : board_(std::move(board)), rank_(rank) {}
  ~ThreadPeers() override { board_->leave(rank_); }

  int rank() const override { return rank_; }
  int worldSize() const override { return board_->worldSize(); }
  bool sameProcess() const override { return true; }
  pid_t pidOf(int) const override { return ::getpid(); }

  std::vector<Bytes> allGather(std::span<const std::byte> mine, Deadline deadline) override {
    if (mine.size() > kMaxContribution)
      fail(ErrorCode::invalidArgument, "an all-gather takes at most {} bytes from a rank, not {}",
           kMaxContribution, mine.size());
    return board_->allGather(rank_, mine, deadline);
  }

  std::vector<Fd> exchangeFds(const Fd& mine, Deadline deadline) override {
    const int number = mine.get();
    const auto numbers = board_->allGather(rank_, std::as_bytes(std::span(&number, 1)), deadline);
    std::vector<Fd> theirs(numbers.size());
    int error = 0;
    for (std::size_t r = 0; r < theirs.size(); ++r) {
      int their = -1;
      std::memcpy(&their, numbers[r].data(), sizeof their);
      if (static_cast<int>(r) == rank_ || their < 0) continue;
      theirs[r] = Fd(::fcntl(their, F_DUPFD_CLOEXEC, 0));
      if (!theirs[r]) error = errno;
    }
    // Nobody may close its own before all others have theirs.
    board_->allGather(rank_, {}, deadline);
    errno = error;
    if (error != 0) failErrno("cannot duplicate a descriptor");
    return theirs;
  }

  std::uint64_t gone() noexcept override { return board_->left(); }

 private:
  std::shared_ptr<Board> board_;
  int rank_;
};

}  // namespace

std::vector<std::unique_ptr<Peers>> joinThreads(int worldSize) {
  if (worldSize < 1 || worldSize > kMaxWorld)
    fail(ErrorCode::invalidArgument, "a world has 1 to {} ranks, not {}", kMaxWorld, worldSize);
  const auto board = std::make_shared<Board>(worldSize);
  std::vector<std::unique_ptr<Peers>> ends;
  for (int rank = 0; rank < worldSize; ++rank)
    ends.push_back(std::make_unique<ThreadPeers>(board, rank));
  return ends;
}

}  // namespace lockstep
