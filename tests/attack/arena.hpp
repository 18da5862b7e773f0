// Communicators of ranks that are threads, with short deadlines, and every word that they share.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "attack/shared_view.hpp"
#include "support/world.hpp"

namespace lockstep::testing {

using Words = std::vector<shm::Word*>;

class Arena {
 public:
  /// `algorithm`, `protocol`: forced, unless empty.
  Arena(int world, Mode mode, const std::string& algorithm = {}, const std::string& protocol = {});

  std::vector<Outcome> play(const std::function<void(Communicator&, int rank)>& what);
  std::vector<Communicator>& ranks() { return ranks_; }
  const SharedView& view() const { return view_; }
  /// Of all that a rank writes.
  Words flagsOf(int rank) const;
  /// Of all that a rank reads.
  Words creditsOf(int rank) const;

 private:
  std::vector<Communicator> ranks_;
  SharedView view_;
};

/// Words as they were.
class Before {
 public:
  explicit Before(const Words& words) {
    for (shm::Word* word : words) words_.emplace_back(word, word->load());
  }
  /// Throws if nothing does for long.
  void awaitChange() const;
  void putBack() const {
    for (const auto& [word, value] : words_) word->store(value);
  }

 private:
  std::vector<std::pair<shm::Word*, std::uint64_t>> words_;
};

/// Keeps words as they were, while ranks run.
class Holder {
 public:
  explicit Holder(const Words& words)
      : before_(words), thread_([this] {
          while (!over_) before_.putBack();
        }) {}
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;
  ~Holder() {
    over_ = true;
    thread_.join();
  }

 private:
  Before before_;
  std::atomic<bool> over_{false};
  std::thread thread_;
};

}  // namespace lockstep::testing
