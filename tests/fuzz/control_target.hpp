// Control messages of a sealed communicator, which whoever carries them may change, cut, exchange
// or replay: rank 0 hears what was said, or blames whoever said what does not verify.
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cc_mode/aead/aead.hpp"
#include "communicator/control.hpp"
#include "fuzz/played_peers.hpp"
#include <lockstep/error.hpp>

namespace lockstep::fuzz {

/// Ranks with control keys, all in one thread: the others say something, then rank 0 hears it.
class Conversation {
 public:
  explicit Conversation(int world) : world_(world) {
    static const std::shared_ptr<const cc::Aead> aead = cc::createAead();
    for (int rank = 0; rank < world; ++rank) {
      cc::KeyRing& ring = rings_.emplace_back(aead);
      for (int sender = 0; sender < world; ++sender)
        for (int receiver = 0; receiver < world; ++receiver)
          if (sender != receiver && (sender == rank || receiver == rank))
            ring.addControl({sender, receiver}, keyOf(sender, receiver));
    }
  }

  /// One all-gather. What each says, and in which call, is the input's; so is what becomes of it.
  void gather(Input& input) {
    std::vector<Message> texts;
    std::vector<std::string> purposes;
    for (int rank = 0; rank < world_; ++rank) {
      texts.push_back(input.bytes(input.below(64)));
      purposes.push_back(rank == 0 ? "alloc" : purposeOf(input.byte()));
    }
    Messages said(texts.size());
    for (std::size_t r = 1; r < said.size(); ++r) said[r] = say(r, purposes[r], texts[r]);
    Messages heard;
    PlayedPeers peers(0, world_, [&](std::span<const std::byte> mine) {
      said[0].assign(mine.begin(), mine.end());
      heard = said;
      for (std::size_t n = input.byte() % 3; n > 0; --n) change(input, heard);
      return heard;
    });
    Control control(peers, rings_.data(), purposes[0]);
    try {
      const auto all = control.allGather(texts[0], Deadline::in(std::chrono::seconds(1)));
      demand(!forged(said, heard) && !differing(purposes) && all == texts);
    } catch (const Error& error) {
      const auto forger = forged(said, heard);
      demand(error.code() == (forger ? ErrorCode::integrity : ErrorCode::mismatch));
      demand(error.rank() == (forger ? forger : differing(purposes)));
      demand(error.operation() == purposes[0]);
      demandSound(error.what());
    }
    earlier_.insert(earlier_.end(), said.begin(), said.end());
  }

 private:
  static std::array<std::byte, cc::kKeyBytes> keyOf(int sender, int receiver) {
    return {std::byte{7}, static_cast<std::byte>(sender), static_cast<std::byte>(receiver)};
  }
  /// Mostly the same. One could be a terminal's command, to whoever shows it.
  static std::string purposeOf(unsigned choice) {
    if (choice < 192) return "alloc";
    return choice < 224 ? "split" : choice < 240 ? "\x1b[2J" : std::string(choice % 16 * 17, 'x');
  }

  /// What `rank` gives to its peers, which nobody carries yet.
  Message say(std::size_t rank, const std::string& purpose, const Message& text) {
    struct Taken {};
    Message said;
    PlayedPeers peers(static_cast<int>(rank), world_,
                      [&](std::span<const std::byte> mine) -> Messages {
                        said.assign(mine.begin(), mine.end());
                        throw Taken();
                      });
    try {
      Control(peers, &rings_[rank], purpose).allGather(text, Deadline::in({}));
    } catch (const Taken&) {
    }
    return said;
  }

  void change(Input& input, Messages& heard) const {
    Message& one = heard[input.byte() % heard.size()];
    const std::size_t choice = input.byte();
    const bool old = !earlier_.empty() && choice % 2 == 0;
    changeMessage(input, one,
                  old ? earlier_[choice / 2 % earlier_.size()] : heard[choice / 2 % heard.size()]);
  }

  /// The first rank whose words to rank 0, the first place of its message, are not as they were.
  static std::optional<int> forged(const Messages& said, const Messages& heard) {
    const std::size_t peers = said.size() - 1;
    for (std::size_t r = 1; r < said.size(); ++r)
      if (said[r].size() != heard[r].size() ||
          !std::equal(said[r].begin(), said[r].begin() + said[r].size() / peers, heard[r].begin()))
        return static_cast<int>(r);
    return std::nullopt;
  }
  static std::optional<int> differing(const std::vector<std::string>& purposes) {
    const auto other =
        std::ranges::find_if(purposes, [&](const auto& purpose) { return purpose != purposes[0]; });
    if (other == purposes.end()) return std::nullopt;
    return static_cast<int>(other - purposes.begin());
  }

  int world_;
  std::vector<cc::KeyRing> rings_;
  Messages earlier_;
};

inline void controlMessages(std::span<const std::byte> bytes) {
  Input input(bytes);
  Conversation conversation(2 + static_cast<int>(input.byte() % 3));
  for (int round = 0; round < 6 && !input.empty(); ++round) conversation.gather(input);
}

}  // namespace lockstep::fuzz
