// Mixture of experts: tokens to the ranks that hold their experts, and results back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <lockstep/communicator.hpp>
#include <lockstep/types.hpp>

namespace lockstep {

/// The exchange of one layer of experts, spread evenly: expert e is on rank
/// e / (experts / worldSize). Keeps its memory from step to step.
///
///     Experts layer(comm, 64, 4, hidden, DataType::bf16);
///     layer.dispatch(tokens, count, chosen, weights);      // who chose my experts?
///     for (int e = 0; e < layer.local(); ++e)
///       for (const Experts::Choice& c : layer.of(e)) ..    // row c.token of layer.tokens()
///     layer.combine(results, out);                         // a row per received token, back
///
/// The counts are known only when the routing is, so a dispatch first tells them. A token goes once
/// to each rank that holds any of its experts, not once per expert, and comes back as one row.
/// Counts are visible to an observer of shared memory, in sealed modes too: they tell how many
/// tokens went where.
///
/// Calls are collective and blocking, with the errors of collectives. One that was moved from has
/// nothing, and its calls throw invalidArgument.
class LOCKSTEP_API Experts {
 public:
  static constexpr int kMostExperts = 65535;

  /// A received token that chose an expert of this rank.
  struct Choice {
    std::uint32_t token = 0;  ///< row of tokens()
    float weight = 0;         ///< as its owner gave it
  };

  /// `experts`: in all ranks, a multiple of the world size, at most kMostExperts for each rank;
  /// `topK`: choices of a token (1 to 64); `hidden`: elements of a token. The same on every rank
  /// (compared by each dispatch). Throws invalidArgument. Not collective.
  Experts(const Communicator& communicator, int experts, int topK, std::size_t hidden,
          DataType type);
  Experts(Experts&&) noexcept;
  Experts& operator=(Experts&&) noexcept;
  ~Experts();

  /// Experts of this rank.
  int local() const noexcept;

  /// Sends `count` tokens (rows of `hidden` elements) to where their experts are. `chosen`: `count`
  /// rows of `topK` expert numbers, -1 for none; `weights`: as many numbers that go along, or null
  /// for ones. Throws invalidArgument for an expert that does not exist; mismatch when ranks
  /// disagree about the constructor's arguments.
  void dispatch(const void* tokens, std::size_t count, const std::int32_t* chosen,
                const float* weights);

  /// Tokens that have come, by sender, and in its order.
  std::size_t received() const noexcept;
  /// Tokens that have come from each rank.
  std::span<const std::size_t> receivedFrom() const noexcept;
  /// Their rows, one after the other. May be written: results can take their place.
  void* tokens() noexcept;
  /// The choices of this rank's expert `local`, by token.
  std::span<const Choice> of(int local) const;

  /// Sends back one row per received token and adds up, for every token that was dispatched, the
  /// rows that come from the ranks it went to: in the order of ranks, in f32 for shorter types,
  /// rounded once. A token that chose nothing gets zeros. `results`: received() rows; `out`: as
  /// many rows as were dispatched. It can be called again until the next dispatch.
  void combine(const void* results, void* out);

 private:
  class Impl;
  Impl& impl() const;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep
