// Ranks as threads of one process: what they make together.
#pragma once

#include <map>
#include <mutex>
#include <vector>

#include <lockstep/communicator.hpp>

namespace lockstep::bench {

class RankThreads {
 public:
  explicit RankThreads(int ranks) : ranks_(ranks) {}
  int ranks() const { return ranks_; }

  /// This rank's end of the `index`th communicator; whoever asks first makes it for all. Throws as
  /// Communicator::createInProcess does.
  Communicator join(std::size_t index, int rank, const Options& options) {
    const std::scoped_lock lock(mutex_);
    auto& ends = made_[index];
    if (ends.empty()) ends = Communicator::createInProcess(ranks_, options);
    return std::move(ends[static_cast<std::size_t>(rank)]);
  }

 private:
  const int ranks_;
  std::mutex mutex_;
  std::map<std::size_t, std::vector<Communicator>> made_;
};

}  // namespace lockstep::bench
