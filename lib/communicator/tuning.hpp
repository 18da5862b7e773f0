// Which algorithm, protocol, tile and depth for which call: a table, first match wins.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "collectives/registry.hpp"
#include <lockstep/types.hpp>

namespace lockstep {

/// How the edges of a schedule are lowered on the host.
enum class HostProtocol : std::uint8_t { ll, simple, zeroCopy };
std::string_view name(HostProtocol protocol);
std::optional<HostProtocol> parseProtocol(std::string_view text);

/// What is run.
struct Choice {
  const schedule::Algorithm* algorithm = nullptr;
  HostProtocol protocol = HostProtocol::simple;
  std::size_t tileBytes = 0;
  int depth = 1;
};

/// What a call is, as far as selection cares. All ranks of a call have the same one.
struct Situation {
  Collective collective = Collective::allReduce;
  Mode mode = Mode::p2p;
  int worldSize = 1;
  std::size_t bytes = 0;  ///< of a block (Contract)
  bool direct = false;    ///< every rank's buffers can be read in place
  bool zeroCopy = false;  ///< exposure is possible at all (in place, or by cross-memory attach)
};

enum class Buffers : std::uint8_t { any, direct, ordinary };

struct Rule {
  Collective collective = Collective::allReduce;
  std::uint8_t modes = 0;  ///< bit per Mode
  Buffers buffers = Buffers::any;
  int minRanks = 1, maxRanks = schedule::kMaxWorld;
  std::size_t maxBytes = 0;
  std::string algorithm;
  HostProtocol protocol = HostProtocol::simple;
  std::size_t tileBytes = 0;
  int depth = 1;
  bool untilAttach = false;  ///< holds up to where cross-memory attach pays; see attachPaysAbove
};

class TuningTable {
 public:
  /// Measured on two machines of two cores; tuning.cpp says how.
  static TuningTable builtIn();
  /// Reads a file of the form {"version": 1, "rules": [{...}]}; README.md describes it. Throws
  /// invalidArgument with the file, the rule and what was expected.
  static TuningTable read(const std::string& path);
  /// As read, from text; `source` names it in errors.
  static TuningTable parse(std::string_view json, std::string_view source);

  /// The first rule that matches and is possible here. `algorithm` and `protocol` may be forced
  /// (empty: not); an algorithm that only other collectives have leaves the choice to the table.
  /// Throws invalidArgument for a forced pair that does not exist or is not allowed in the mode.
  Choice select(const Situation& situation, std::string_view algorithm,
                std::string_view protocol) const;
  /// The built-in rules leave messages larger than `bytes` in ordinary buffers to cross-memory
  /// attach. What a system call costs differs too much between machines to be a constant.
  void attachPaysAbove(std::size_t bytes);
  /// Equal texts, equal tables: compared between ranks.
  std::string text() const;

 private:
  std::vector<Rule> rules_;
};

}  // namespace lockstep
