// What a chunk holds, as a formula over the inputs. Equal formulas are one value (hash-consing), so
// comparing and storing them is cheap.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace lockstep::schedule {

class Expressions {
 public:
  using Value = std::uint32_t;
  static constexpr Value kUndefined = 0;

  /// Which chunk it is a formula for: chunks of different homes must not be reduced together.
  struct Home {
    std::uint32_t chunk = 0, tile = 0, call = 0;
    friend bool operator==(const Home&, const Home&) = default;
  };

  /// What the proofs ask of a formula.
  struct Facts {
    Home home;
    bool mixed = false;         ///< it has inputs of several homes
    std::uint64_t ranks = 0;    ///< bit r: the input of rank r is in it
    std::uint64_t doubled = 0;  ///< bit r: .. more than once
    int finishes = 0;           ///< most on any path from an input to the top
    bool inRankOrder = false;   ///< it is in0, or a single rounding of in0, in1, .. in this order
    bool rounded = false;       ///< it has a reduction
  };

  Expressions();

  Value input(int rank, Home home);
  /// The reduction of `terms` in this order, rounded once; a single term is copied. `finish`
  /// divides for the average. Undefined when a term is.
  Value reduce(std::span<const Value> terms, bool finish);

  const Facts& facts(Value value) const { return nodes_[value].facts; }
  /// "round(round(in0 + in1) + in2)"; inputs of another chunk than `home` say which. Formulas that
  /// go on for more than kTextLimit are cut short.
  std::string text(Value value, const Home& home) const;
  static constexpr std::size_t kTextLimit = 2000;

 private:
  struct Node {
    int rank = -1;             ///< of an input
    std::vector<Value> terms;  ///< of a reduction
    Facts facts;
  };

  Value intern(const std::u32string& key, Node node);
  Facts combine(std::span<const Value> terms, bool finish) const;
  void append(std::string& text, Value value, const Home& home) const;

  std::vector<Node> nodes_;
  std::unordered_map<std::u32string, Value> known_;
};

}  // namespace lockstep::schedule
