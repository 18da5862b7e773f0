// Peers that are threads of one process: a board that they write to and read from under a lock.
#include <atomic>
#include <bit>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include <fcntl.h>

#include "base/fail.hpp"
#include "bootstrap/frame.hpp"
#include "bootstrap/mesh_group.hpp"
#include "bootstrap/peers.hpp"
#include "bootstrap/socket.hpp"

namespace lockstep {

namespace {

using Look = std::function<void()>;

/// How often a wait looks around.
constexpr auto kLook = std::chrono::milliseconds(50);

/// What a rank gives to a round: bytes, or a share of an object.
struct Contribution {
  Bytes bytes;
  std::shared_ptr<void> object;
};

class Board {
 public:
  explicit Board(int worldSize) : all_(allRanks(worldSize)), given_(std::size_t(worldSize)) {}

  int worldSize() const { return static_cast<int>(given_.size()); }
  RankSet left() const noexcept { return left_; }

  /// Every rank's contribution, by rank.
  std::vector<Contribution> exchange(int rank, Contribution mine, const Look& look,
                                     Deadline deadline) {
    std::unique_lock lock(mutex_);
    failIfBroken();
    const std::uint64_t round = round_;
    given_[static_cast<std::size_t>(rank)] = std::move(mine);
    have_ |= rankBit(rank);
    if (have_ == all_)
      publish();
    else
      waitForRound(lock, round, look, deadline);
    // The next round cannot end before this rank has given to it: the result stays until the last
    // rank takes it away.
    taken_ |= rankBit(rank);
    return taken_ == all_ ? std::move(result_) : result_;
  }

  void leave(int rank) noexcept {
    const std::lock_guard lock(mutex_);
    left_ |= rankBit(rank);
    changed_.notify_all();
  }

  /// Who is left, and a board for them; or who did not come. The same for all who came.
  struct Survivors {
    RankSet ranks = 0;
    std::shared_ptr<Board> board;
    RankSet missing = 0;
  };
  Survivors shrink(int rank, const Look& look, Deadline deadline) {
    std::unique_lock lock(mutex_);
    const std::uint64_t shrink = shrinks_;
    come_ |= rankBit(rank);
    while (shrinks_ == shrink) {
      const RankSet missing = all_ & ~(come_ | left_);
      if (missing == 0)
        endShrink({come_, std::make_shared<Board>(std::popcount(come_)), 0});
      else if (deadline.passed())
        endShrink({0, nullptr, missing});
      else
        changed_.wait_until(lock, sooner(deadline, Deadline::in(kLook)).at());
      look();
    }
    return survivors_;
  }

 private:
  void endShrink(Survivors survivors) {
    survivors_ = std::move(survivors);
    come_ = 0;
    ++shrinks_;
    changed_.notify_all();
  }

  void publish() {
    result_ = std::exchange(given_, std::vector<Contribution>(given_.size()));
    have_ = taken_ = 0;
    ++round_;
    changed_.notify_all();
  }

  void waitForRound(std::unique_lock<std::mutex>& lock, std::uint64_t round, const Look& look,
                    Deadline deadline) {
    while (round_ == round) {
      failIfBroken();
      look();
      changed_.wait_until(lock, sooner(deadline, Deadline::in(kLook)).at());
      if (round_ == round && deadline.passed()) giveUp();
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
  std::vector<Contribution> given_;   ///< by rank, in the round in progress
  RankSet have_ = 0;                  ///< who has given
  std::uint64_t round_ = 0;           ///< rounds that are complete
  std::vector<Contribution> result_;  ///< of the last one
  RankSet taken_ = 0;                 ///< who has it
  RankSet givenUp_ = 0;               ///< who was missing when a deadline passed
  std::atomic<RankSet> left_{0};      ///< whose Peers is destroyed
  RankSet come_ = 0;                  ///< who takes part in the shrink in progress
  std::uint64_t shrinks_ = 0;         ///< those that are complete
  Survivors survivors_;               ///< of the last one
};

class ThreadPeers final : public Peers {
 public:
  ThreadPeers(std::shared_ptr<Board> board, int rank) : board_(std::move(board)), rank_(rank) {}
  ~ThreadPeers() override { board_->leave(rank_); }

  int rank() const override { return rank_; }
  int worldSize() const override { return board_->worldSize(); }
  bool sameProcess() const override { return true; }
  pid_t pidOf(int) const override { return ::getpid(); }
  int pidfdOf(int) const override { return -1; }

  std::vector<Bytes> allGather(std::span<const std::byte> mine, Deadline deadline) override {
    if (mine.size() > kMaxContribution)
      fail(ErrorCode::invalidArgument, "an all-gather takes at most {} bytes from a rank, not {}",
           kMaxContribution, mine.size());
    std::vector<Bytes> all;
    for (Contribution& one :
         board_->exchange(rank_, {Bytes(mine.begin(), mine.end()), nullptr}, look(), deadline))
      all.push_back(std::move(one.bytes));
    return all;
  }

  std::vector<Fd> exchangeFds(const Fd& mine, Deadline deadline) override {
    const auto all = share(std::make_shared<Fd>(mine ? duplicate(mine) : Fd()), deadline);
    std::vector<Fd> theirs(all.size());
    for (std::size_t r = 0; r < theirs.size(); ++r) {
      const Fd& their = *static_cast<const Fd*>(all[r].get());
      if (static_cast<int>(r) != rank_ && their) theirs[r] = duplicate(their);
    }
    return theirs;
  }

  std::vector<std::shared_ptr<void>> share(std::shared_ptr<void> mine, Deadline deadline) override {
    std::vector<std::shared_ptr<void>> all;
    for (Contribution& one : board_->exchange(rank_, {{}, std::move(mine)}, look(), deadline))
      all.push_back(std::move(one.object));
    return all;
  }

  std::uint64_t gone() noexcept override { return board_->left(); }

  std::unique_ptr<Peers> group(std::span<const int> members, Deadline deadline) override {
    // The first of each group brings the board.
    std::shared_ptr<void> mine;
    if (!members.empty() && members.front() == rank_)
      mine = std::make_shared<Board>(static_cast<int>(members.size()));
    const auto all = share(std::move(mine), deadline);
    if (members.empty()) return nullptr;
    const auto& board = all[static_cast<std::size_t>(members.front())];
    return std::make_unique<ThreadPeers>(std::static_pointer_cast<Board>(board),
                                         placeIn(members, rank_));
  }

  void shrink(const Build& build, Deadline deadline) override {
    const Board::Survivors survivors = board_->shrink(rank_, look(), deadline);
    if (survivors.board == nullptr)
      throw Error(ErrorCode::timeout, std::countr_zero(survivors.missing), {},
                  fmt::format("{} {} not answered: every rank that lives must call shrink, or "
                              "destroy its communicator",
                              describe(survivors.missing), have(survivors.missing)));
    std::vector<int> members;
    for (int r = 0; r < worldSize(); ++r)
      if ((survivors.ranks & rankBit(r)) != 0) members.push_back(r);
    // A thread that has come here cannot die: one try is enough.
    build(std::make_unique<ThreadPeers>(survivors.board, placeIn(members, rank_)), members);
  }

 private:
  static Fd duplicate(const Fd& fd) {
    Fd copy(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
    if (!copy) failErrno("cannot duplicate a descriptor");
    return copy;
  }

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
