// Peers that a fuzzer plays: this rank's all-gathers give whatever it makes of what is said.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <unistd.h>

#include "base/printable.hpp"
#include "bootstrap/forwarding_peers.hpp"
#include "fuzz/input.hpp"

namespace lockstep::fuzz {

using Message = std::vector<std::byte>;
using Messages = std::vector<Message>;

class PlayedPeers final : public ForwardingPeers {
 public:
  /// What all ranks say, this one too, when this one says `mine`.
  using Say = std::function<Messages(std::span<const std::byte> mine)>;
  /// The others' files; those of processes.
  using Give = std::function<std::vector<Fd>(const Fd& mine)>;

  PlayedPeers(int rank, int worldSize, Say say, Give give = {})
      : ForwardingPeers(nobody()),
        rank_(rank),
        worldSize_(worldSize),
        say_(std::move(say)),
        give_(std::move(give)) {}

  int rank() const override { return rank_; }
  int worldSize() const override { return worldSize_; }
  bool sameProcess() const override { return false; }
  pid_t pidOf(int) const override { return ::getpid(); }
  Messages allGather(std::span<const std::byte> mine, Deadline) override { return say_(mine); }
  std::vector<Fd> exchangeFds(const Fd& mine, Deadline) override { return give_(mine); }

 private:
  static Peers& nobody() {
    static const auto alone = joinThreads(1);
    return *alone.front();
  }
  int rank_, worldSize_;
  Say say_;
  Give give_;
};

/// A change of one message, as the input says: perhaps none, a few bytes, its length, all of it, or
/// `other` in its place.
inline void changeMessage(Input& input, Message& message, const Message& other) {
  switch (input.byte() % 6) {
    case 0:
      return;
    case 1:
      for (std::size_t n = 1 + input.below(8); n > 0 && !message.empty(); --n)
        message[input.below(message.size())] ^= static_cast<std::byte>(input.byte());
      return;
    case 2:
      return message.resize(input.below(2 * message.size() + 2));
    case 3:
      message = input.bytes(input.below(256));
      return;
    case 4:
      message = other;
      return;
    default:  // one of its words is chosen
      const std::vector<std::byte> word = input.bytes(8);
      const std::size_t words = message.size() / 8;
      if (words != 0)
        std::copy(word.begin(), word.end(), message.begin() + 8 * (input.byte() % words));
  }
}

/// What is told of an error is safe to show, and no longer than a page.
inline void demandSound(std::string_view text) {
  demand(text.size() < 4096 && printable(text, text.size()) == text);
}

}  // namespace lockstep::fuzz
