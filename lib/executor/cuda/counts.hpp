// How many messages and seals a tile has on each channel and under each key, and which of them an
// operand is: by that lanes know their steps and nonces, and advance their counters.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <tuple>

#include "collectives/schedule.hpp"
#include "executor/cuda/fold.hpp"

namespace lockstep::cuda {

class Counts {
 public:
  /// Counts the program of `instance`, which has one lane at most.
  void add(const Instance& instance);

  /// The message's number on its channel, in the program that `operand` is of.
  std::uint32_t ordinalOf(const schedule::Operand& operand) const { return ordinals_.at(&operand); }
  /// Messages of a tile when `root` is the root, and seals. reader, receiver: or kEveryone.
  std::uint32_t messages(int root, int writer, int reader) const {
    return at(messages_, {root, writer, reader});
  }
  std::uint32_t seals(int root, int sender, int receiver) const {
    return at(seals_, {root, sender, receiver});
  }
  /// As a lane reads them (lane.cuh): what it advances by, for each of these roots. `byRoot`: the
  /// root is known at run time only.
  std::string text(std::span<const int> roots, int world, bool byRoot, Numbers& numbers) const;

 private:
  using Key = std::tuple<int, int, int>;  ///< root, writer or sender, reader or receiver
  using Table = std::map<Key, std::uint32_t>;
  static std::uint32_t at(const Table& table, const Key& key);
  void count(const schedule::Operand& operand, const Instance& instance, bool writes);

  Table messages_, seals_;
  Table ports_;  ///< messages so far of a rank's end of a channel
  std::map<const schedule::Operand*, std::uint32_t> ordinals_;
};

}  // namespace lockstep::cuda
