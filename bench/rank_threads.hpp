// Ranks as threads of one process: what they make together.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include <lockstep/communicator.hpp>
#include <lockstep/device.hpp>

namespace lockstep::bench {

/// One communicator's ends of all ranks side by side, so that rank 0 can launch for all, and what
/// each gives to the next call. Ranks write their own and meet before anyone reads another's.
struct SideBySide {
  explicit SideBySide(std::size_t ranks)
      : arriving(ranks), ins(ranks), outs(ranks), factors(ranks) {}
  std::vector<std::optional<DeviceCommunicator>> arriving;
  std::vector<DeviceCommunicator> ends;  ///< by rank, once all have come
  std::vector<const void*> ins;
  std::vector<void*> outs;
  std::vector<double> factors;  ///< of premultiplied sums
};

class RankThreads {
 public:
  explicit RankThreads(int ranks) : ranks_(ranks) {}

  /// This rank's end of the `index`th communicator; whoever asks first makes it for all. Throws as
  /// Communicator::createInProcess does.
  Communicator join(std::size_t index, int rank, const Options& options) {
    const std::scoped_lock lock(mutex_);
    auto& ends = made_[index];
    if (ends.empty()) ends = Communicator::createInProcess(ranks_, options);
    return std::move(ends[static_cast<std::size_t>(rank)]);
  }

  std::shared_ptr<SideBySide> sideBySide(std::size_t index) {
    const std::scoped_lock lock(mutex_);
    auto& shared = shared_[index];
    if (!shared) shared = std::make_shared<SideBySide>(static_cast<std::size_t>(ranks_));
    return shared;
  }

 private:
  const int ranks_;
  std::mutex mutex_;
  std::map<std::size_t, std::vector<Communicator>> made_;
  std::map<std::size_t, std::shared_ptr<SideBySide>> shared_;
};

}  // namespace lockstep::bench
