// Which algorithm, protocol, tile and depth for which call: a table, first match wins.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
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
schedule::Edges edgesOf(HostProtocol protocol);

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
  std::size_t bytes = 0;      ///< of a block (Contract)
  bool direct = false;        ///< every rank's buffers can be read in place
  bool zeroCopy = false;      ///< exposure is possible at all (in place, or by cross-memory attach)
  bool reproducible = false;  ///< what reduces must do it in rank order (isReproducible)
  DataType type = DataType::f32;
  bool inPlace = false;  ///< a broadcast whose root has one buffer, as far as all ranks know
};

/// Whether a reproducible communicator may run it. All that reduce in rank order, rounding once,
/// give the same bits; the verifier proves of which this is true. What reduces nothing rounds
/// nothing.
bool isReproducible(const schedule::Algorithm& algorithm);

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
  /// Not 0: holds up to this share of what attachPaysAbove is told, whatever maxBytes was.
  double untilAttach = 0;
  std::size_t minBytes = 0;
  std::uint32_t types = ~0U;  ///< bit per DataType
  bool inPlace = false;       ///< holds for Situation::inPlace only
  std::size_t number = 0;     ///< its place in the file, from 1; 0: built in
};

/// What a rule names; nullptr if there is no such algorithm with that protocol.
const schedule::Algorithm* algorithmOf(const Rule& rule);
/// "one_shot, ring": of those that `which` holds for, each once, for error texts.
std::string algorithmNames(const std::function<bool(const schedule::Algorithm&)>& which);

constexpr std::uint8_t bit(Mode mode) {
  return static_cast<std::uint8_t>(1U << static_cast<unsigned>(mode));
}
constexpr std::uint32_t bit(DataType type) {
  return 1U << static_cast<unsigned>(type);
}

struct Force;

class TuningTable {
 public:
  /// Measured on two machines of two cores; tuning.cpp says how.
  static TuningTable builtIn();
  /// Reads a tuning file; TUNING.md describes it. Of a file with tables of several machines, the
  /// one that was measured on this one; without such, the built-in rules. Throws invalidArgument
  /// with the file, the rule and what was expected.
  static TuningTable read(const std::string& path);
  /// As read, from text; `source` names it in errors, `machine` this machine (lockstep::machine).
  static TuningTable parse(std::string_view json, std::string_view source,
                           std::string_view machine);

  /// The first rule that matches and is possible here. `algorithm` and `protocol` may be forced
  /// (empty: not); an algorithm that only other collectives have leaves the choice to the table.
  /// Throws invalidArgument for a forced pair that does not exist or is not allowed in the mode,
  /// and where reproducible, for a forced algorithm that is not (naming those that are); rules that
  /// name such are passed over.
  Choice select(const Situation& situation, std::string_view algorithm,
                std::string_view protocol) const;
  /// Why select chooses what it chooses, for people: "rule 2 of FILE, measured 2026-11-21". Throws
  /// as select does.
  std::string why(const Situation& situation, std::string_view algorithm,
                  std::string_view protocol) const;
  /// The built-in rules leave messages larger than `bytes` in ordinary buffers to cross-memory
  /// attach, some rules from a share of it. What a system call costs differs too much between
  /// machines to be a constant.
  void attachPaysAbove(std::size_t bytes);
  /// Equal texts, equal tables: compared between ranks.
  std::string text() const;

 private:
  const Rule* find(const Situation& situation, const Force& force) const;
  std::optional<std::size_t> attachAbove(Situation situation) const;

  std::vector<Rule> rules_;
  std::string source_;           ///< of the rules with a number; empty: there is no file
  std::string measured_;         ///< when and how they came about, as the file says; may be empty
  bool foreign_ = false;         ///< the file has no table for this machine
  bool attachMeasured_ = false;  ///< attachPaysAbove was told
};

}  // namespace lockstep
