#include "communicator/tuning.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "base/fail.hpp"

namespace lockstep {

namespace {

constexpr std::array<std::string_view, 3> kProtocolNames{"ll", "simple", "zero_copy"};
constexpr std::size_t kAnySize = std::numeric_limits<std::size_t>::max();
constexpr std::size_t KiB = 1024;

constexpr std::uint8_t kClear = bit(Mode::p2p) | bit(Mode::multicast);
constexpr std::uint8_t kSealed = bit(Mode::cc) | bit(Mode::ccMulticast) | bit(Mode::ccMasked);

bool matches(const Rule& rule, const Situation& s) {
  const bool buffers =
      rule.buffers == Buffers::any || (rule.buffers == Buffers::direct) == s.direct;
  const bool possible =
      rule.protocol != HostProtocol::zeroCopy || (s.zeroCopy && !isSealed(s.mode));
  return rule.collective == s.collective && (rule.modes & bit(s.mode)) != 0 && buffers &&
         possible && s.worldSize >= rule.minRanks && s.worldSize <= rule.maxRanks &&
         s.bytes >= rule.minBytes && s.bytes <= rule.maxBytes && (rule.types & bit(s.type)) != 0 &&
         (!rule.inPlace || s.inPlace) && (!s.reproducible || isReproducible(*algorithmOf(rule)));
}

Choice toChoice(const Rule& rule) {
  return {algorithmOf(rule), rule.protocol, rule.tileBytes, rule.depth};
}

}  // namespace

const schedule::Algorithm* algorithmOf(const Rule& rule) {
  return schedule::findAlgorithm(rule.collective, rule.algorithm, edgesOf(rule.protocol));
}

std::string algorithmNames(const std::function<bool(const schedule::Algorithm&)>& which) {
  std::vector<std::string_view> names;
  for (const schedule::Algorithm* a : schedule::algorithms())
    if (which(*a) && std::find(names.begin(), names.end(), a->name) == names.end())
      names.push_back(a->name);
  return fmt::format("{}", fmt::join(names, ", "));
}

bool isReproducible(const schedule::Algorithm& algorithm) {
  return algorithm.rankOrder || !contractOf(algorithm.collective).reduces;
}

std::string_view name(HostProtocol protocol) {
  return kProtocolNames[static_cast<std::size_t>(protocol)];
}
std::optional<HostProtocol> parseProtocol(std::string_view text) {
  return detail::parseName<HostProtocol>(kProtocolNames, text);
}
schedule::Edges edgesOf(HostProtocol protocol) {
  return protocol == HostProtocol::zeroCopy ? schedule::Edges::exposure : schedule::Edges::channels;
}

namespace {

/// Slots are better up to what was measured, in blocks. Half of it where more than two ranks all
/// send to all others: their slots and buffers outgrow the caches so much earlier.
constexpr double kMeasured = 1;

// How these were found: README.md of this folder. Small messages: one exchange, flag beside the
// data. Large ones in the clear: each rank reduces its share straight from and into everybody's
// buffers. Sealed: the algorithm with the fewest sealed and opened bytes, in tiles that stay in the
// cache.
std::vector<Rule> allReduceRules() {
  constexpr auto kAll = Collective::allReduce;
  return {
      {kAll, kClear, Buffers::any, 1, 64, 512, "one_shot", HostProtocol::ll, 8 * KiB, 1},
      {kAll, kClear, Buffers::direct, 1, 64, kAnySize, "two_shot", HostProtocol::zeroCopy, 0, 1},
      {kAll, kClear, Buffers::ordinary, 1, 2, 4 * KiB, "one_shot", HostProtocol::ll, 8 * KiB, 1},
      {kAll, kClear, Buffers::ordinary, 1, 2, 8 * KiB, "one_shot", HostProtocol::simple, 64 * KiB,
       1},
      {kAll, kClear, Buffers::ordinary, 3, 64, 4 * KiB, "one_shot", HostProtocol::simple, 64 * KiB,
       1},
      {kAll, kClear, Buffers::ordinary, 1, 64, 64 * KiB, "two_shot", HostProtocol::simple,
       128 * KiB, 4, kMeasured},
      {kAll, kClear, Buffers::ordinary, 1, 64, kAnySize, "two_shot", HostProtocol::zeroCopy, 0, 1},
      {kAll, kClear, Buffers::any, 1, 64, kAnySize, "two_shot", HostProtocol::simple, 128 * KiB, 4},
      {kAll, kSealed, Buffers::any, 1, 2, 4 * KiB, "one_shot", HostProtocol::ll, 8 * KiB, 1},
      {kAll, kSealed, Buffers::any, 1, 64, 1 * KiB, "one_shot", HostProtocol::ll, 8 * KiB, 1},
      {kAll, kSealed, Buffers::any, 1, 2, 32 * KiB, "one_shot", HostProtocol::simple, 16 * KiB, 4},
      {kAll, kSealed, Buffers::any, 1, 64, kAnySize, "two_shot", HostProtocol::simple, 64 * KiB, 4},
  };
}

/// Everything else goes straight from whoever has it to whoever wants it. Sizes are of a block.
std::vector<Rule> directRules(Collective c) {
  // Where most ranks only send, or only receive, they get far ahead of each other: short slots, of
  // which there are more. That pays for longer messages too, if nothing is computed.
  const Contract& contract = contractOf(c);
  const std::size_t lines = contract.rooted ? 4 * KiB : 8 * KiB;
  const std::size_t ahead = contract.rooted && !contract.reduces ? 4 * KiB : 1 * KiB;
  return {
      {c, kClear, Buffers::any, 1, 64, 512, "direct", HostProtocol::ll, lines, 1},
      {c, kClear, Buffers::any, 3, 64, ahead, "direct", HostProtocol::ll, lines, 1},
      {c, kClear, Buffers::direct, 1, 64, kAnySize, "direct", HostProtocol::zeroCopy, 0, 1},
      {c, kClear, Buffers::ordinary, 1, 2, 4 * KiB, "direct", HostProtocol::ll, lines, 1},
      {c, kClear, Buffers::ordinary, 1, 2, 64 * KiB, "direct", HostProtocol::simple, 32 * KiB, 4,
       kMeasured},
      {c, kClear, Buffers::ordinary, 3, 64, 64 * KiB, "direct", HostProtocol::simple, 32 * KiB, 4,
       contract.rooted ? kMeasured : kMeasured / 2},
      {c, kClear, Buffers::ordinary, 1, 64, kAnySize, "direct", HostProtocol::zeroCopy, 0, 1},
      {c, kClear, Buffers::any, 1, 64, kAnySize, "direct", HostProtocol::simple, 32 * KiB, 4},
      {c, kSealed, Buffers::any, 1, 64, 1 * KiB, "direct", HostProtocol::ll, lines, 1},
      {c, kSealed, Buffers::any, 1, 64, kAnySize, "direct", HostProtocol::simple, 16 * KiB, 4},
  };
}

/// The same, but that a root with nothing to copy for itself copies for the others.
std::vector<Rule> broadcastRules() {
  std::vector<Rule> rules;
  for (const Rule& rule : directRules(Collective::broadcast)) {
    if (rule.protocol == HostProtocol::zeroCopy) {
      Rule joint = rule;
      joint.algorithm = "joint";
      joint.minRanks = 2;
      joint.inPlace = true;
      rules.push_back(joint);
    }
    rules.push_back(rule);
  }
  return rules;
}

}  // namespace

TuningTable TuningTable::builtIn() {
  TuningTable table;
  const auto add = [&](std::vector<Rule> rules) {
    table.rules_.insert(table.rules_.end(), rules.begin(), rules.end());
  };
  add(allReduceRules());
  // One step while a rank can look at all others; then as few messages as it gets.
  add({{Collective::barrier, kClear | kSealed, Buffers::any, 1, 16, kAnySize, "direct",
        HostProtocol::ll, 8 * KiB, 1},
       {Collective::barrier, kClear | kSealed, Buffers::any, 1, 64, kAnySize, "dissemination",
        HostProtocol::ll, 64, 1}});
  for (std::size_t c = 0; c < kCollectives; ++c) {
    const auto collective = static_cast<Collective>(c);
    if (collective == Collective::broadcast)
      add(broadcastRules());
    else if (collective != Collective::allReduce && collective != Collective::barrier)
      add(directRules(collective));
  }
  return table;
}

void TuningTable::attachPaysAbove(std::size_t bytes) {
  attachMeasured_ = true;
  for (Rule& rule : rules_)
    if (rule.untilAttach != 0)
      rule.maxBytes = static_cast<std::size_t>(rule.untilAttach * static_cast<double>(bytes));
}

/// Where slots give way to it in this situation.
std::optional<std::size_t> TuningTable::attachAbove(Situation situation) const {
  for (const Rule& rule : rules_) {
    situation.bytes = rule.minBytes;
    if (rule.untilAttach != 0 && matches(rule, situation)) return rule.maxBytes;
  }
  return std::nullopt;
}

/// What is asked for by name and exists for this collective; the rest of it is selected.
struct Force {
  std::string_view algorithm;
  std::optional<HostProtocol> protocol;
  explicit operator bool() const { return !algorithm.empty() || protocol; }
};

namespace {
/// No collective reduces by it in an order of its own.
void requireReproducible(std::string_view algorithm) {
  for (const schedule::Algorithm* a : schedule::algorithms())
    if (a->name == algorithm && !isReproducible(*a))
      fail(ErrorCode::invalidArgument,
           "algorithm '{}' is not reproducible: in {} it does not reduce in rank order; {} do",
           algorithm, name(a->collective),
           algorithmNames([](const auto& other) { return other.rankOrder; }));
}

Force forceOf(const Situation& situation, std::string_view algorithm, std::string_view protocol) {
  if (situation.collective == Collective::barrier) return {};
  Force force;
  if (!protocol.empty()) {
    force.protocol = parseProtocol(protocol);
    if (!force.protocol)
      fail(ErrorCode::invalidArgument, "protocol '{}': there are ll, simple and zero_copy",
           protocol);
    if (*force.protocol == HostProtocol::zeroCopy && isSealed(situation.mode))
      fail(ErrorCode::invalidArgument,
           "protocol zero_copy is not allowed in mode {}: plaintext would leave the rank",
           name(situation.mode));
    if (*force.protocol == HostProtocol::zeroCopy && !situation.zeroCopy)
      force.protocol = HostProtocol::simple;
  }
  if (algorithm.empty()) return force;
  const auto all = schedule::algorithms();
  const auto named = [&](const schedule::Algorithm* a) { return a->name == algorithm; };
  if (std::none_of(all.begin(), all.end(), named))
    fail(ErrorCode::invalidArgument, "algorithm '{}': there are {}", algorithm,
         algorithmNames([](const auto&) { return true; }));
  if (situation.reproducible) requireReproducible(algorithm);
  if (std::any_of(all.begin(), all.end(), [&](const schedule::Algorithm* a) {
        return named(a) && a->collective == situation.collective;
      }))
    force.algorithm = algorithm;
  return force;
}

/// No rule agrees with what is forced: sizes that suit every algorithm.
Choice forced(const Situation& situation, const Force& force) {
  const bool allReduce = situation.collective == Collective::allReduce;
  const std::string_view algorithm = !force.algorithm.empty() ? force.algorithm
                                     : allReduce              ? "two_shot"
                                                              : "direct";
  const bool inPlaceOnly =
      situation.zeroCopy && schedule::findAlgorithm(situation.collective, algorithm,
                                                    schedule::Edges::channels) == nullptr;
  const HostProtocol protocol =
      force.protocol.value_or(inPlaceOnly                  ? HostProtocol::zeroCopy
                              : situation.bytes <= 2 * KiB ? HostProtocol::ll
                                                           : HostProtocol::simple);
  const auto* found = schedule::findAlgorithm(situation.collective, algorithm, edgesOf(protocol));
  if (found == nullptr)
    fail(ErrorCode::invalidArgument, "{}: algorithm '{}' has no protocol '{}'",
         name(situation.collective), algorithm, name(protocol));
  return {found, protocol, protocol == HostProtocol::ll ? 8 * KiB : 64 * KiB,
          protocol == HostProtocol::simple ? 4 : 1};
}

}  // namespace

/// Of what is forced, the first rule that agrees has the right tile.
const Rule* TuningTable::find(const Situation& situation, const Force& force) const {
  for (const Rule& rule : rules_)
    if (matches(rule, situation) &&
        (force.algorithm.empty() || rule.algorithm == force.algorithm) &&
        (!force.protocol || rule.protocol == *force.protocol))
      return &rule;
  if (!force)
    fail(ErrorCode::internal, "no tuning rule covers {} of {} bytes", name(situation.collective),
         situation.bytes);
  return nullptr;
}

Choice TuningTable::select(const Situation& situation, std::string_view algorithm,
                           std::string_view protocol) const {
  const Force force = forceOf(situation, algorithm, protocol);
  const Rule* rule = find(situation, force);
  return rule != nullptr ? toChoice(*rule) : forced(situation, force);
}

std::string TuningTable::why(const Situation& situation, std::string_view algorithm,
                             std::string_view protocol) const {
  const Force force = forceOf(situation, algorithm, protocol);
  const Rule* rule = find(situation, force);
  std::vector<std::string> reasons;
  if (!force.algorithm.empty()) reasons.push_back(fmt::format("algorithm {} forced", algorithm));
  if (force.protocol) reasons.push_back(fmt::format("protocol {} forced", name(*force.protocol)));
  if (rule == nullptr) {
    reasons.emplace_back("tile and depth that suit every algorithm");
  } else if (rule->number != 0) {
    reasons.push_back(fmt::format("rule {} of {}", rule->number, source_));
    if (!measured_.empty()) reasons.push_back(measured_);
  } else {
    reasons.emplace_back("built-in rule");
    // The rule that ends at the threshold, and the one that takes over there.
    const bool attaches = rule->untilAttach != 0 || (rule->protocol == HostProtocol::zeroCopy &&
                                                     rule->buffers == Buffers::ordinary);
    const auto above = attaches && attachMeasured_ ? attachAbove(situation) : std::nullopt;
    if (above)
      reasons.push_back(
          fmt::format("process_vm_readv pays above {} bytes, measured at creation", *above));
    if (foreign_) reasons.push_back(fmt::format("{} has no table for this machine", source_));
  }
  return fmt::format("{}", fmt::join(reasons, "; "));
}

std::string TuningTable::text() const {
  std::string text;
  for (const Rule& r : rules_)
    text += fmt::format("{} {} {} {}-{} {}-{} {:x} {} {} {} {} {}\n", name(r.collective), r.modes,
                        static_cast<int>(r.buffers), r.minRanks, r.maxRanks, r.minBytes, r.maxBytes,
                        r.types, r.inPlace, r.algorithm, name(r.protocol), r.tileBytes, r.depth);
  return text;
}

}  // namespace lockstep
