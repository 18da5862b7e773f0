#include "communicator/tuning.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include "base/fail.hpp"
#include "base/fd.hpp"

namespace lockstep {

namespace {

constexpr std::array<std::string_view, 3> kProtocolNames{"ll", "simple", "zero_copy"};
constexpr std::array<std::string_view, 3> kBuffersNames{"any", "registered", "ordinary"};
constexpr std::size_t kAnySize = std::numeric_limits<std::size_t>::max();
constexpr std::size_t KiB = 1024;
constexpr int kMaxDepth = 8;  // slots of a channel

constexpr std::uint8_t bit(Mode mode) {
  return static_cast<std::uint8_t>(1U << static_cast<unsigned>(mode));
}
constexpr std::uint8_t kClear = bit(Mode::p2p) | bit(Mode::multicast);
constexpr std::uint8_t kSealed = bit(Mode::cc) | bit(Mode::ccMulticast);

schedule::Edges edgesOf(HostProtocol protocol) {
  return protocol == HostProtocol::zeroCopy ? schedule::Edges::exposure : schedule::Edges::channels;
}

bool matches(const Rule& rule, const Situation& s) {
  const bool buffers =
      rule.buffers == Buffers::any || (rule.buffers == Buffers::direct) == s.direct;
  const bool possible =
      rule.protocol != HostProtocol::zeroCopy || (s.zeroCopy && !isSealed(s.mode));
  return rule.collective == s.collective && (rule.modes & bit(s.mode)) != 0 && buffers &&
         possible && s.worldSize >= rule.minRanks && s.worldSize <= rule.maxRanks &&
         s.bytes <= rule.maxBytes;
}

/// Of a collective, or of all.
std::string algorithmNames(std::optional<Collective> collective = {}) {
  std::vector<std::string_view> names;
  for (const schedule::Algorithm* a : schedule::algorithms())
    if ((!collective || a->collective == *collective) &&
        std::find(names.begin(), names.end(), a->name) == names.end())
      names.push_back(a->name);
  return fmt::format("{}", fmt::join(names, ", "));
}

// ---- reading ----

std::vector<std::string_view> collectiveNames() {
  std::vector<std::string_view> names;
  for (std::size_t c = 0; c < kCollectives; ++c) names.push_back(name(static_cast<Collective>(c)));
  return names;
}

/// One rule of a file, with the place for error texts.
class RuleReader {
 public:
  RuleReader(const nlohmann::json& json, std::string where)
      : json_(json), where_(std::move(where)) {
    if (!json.is_object()) bad("a rule must be an object");
  }

  Rule read() {
    static constexpr std::array<std::string_view, 9> kKnown{"op",       "modes",      "buffers",
                                                            "ranks",    "max_bytes",  "algorithm",
                                                            "protocol", "tile_bytes", "depth"};
    for (const auto& [key, value] : json_.items())
      if (std::find(kKnown.begin(), kKnown.end(), key) == kKnown.end())
        bad("unknown key '" + key + "'");
    Rule rule;
    const auto collective = parseCollective(text("op"));
    if (!collective) bad(fmt::format("'op' must be one of {}", fmt::join(collectiveNames(), ", ")));
    rule.collective = *collective;
    readModes(rule);
    if (json_.contains("buffers")) {
      const auto buffers = detail::parseName<Buffers>(kBuffersNames, text("buffers"));
      if (!buffers) bad("'buffers' must be any, registered or ordinary");
      rule.buffers = *buffers;
    }
    readRanks(rule);
    if (json_.contains("max_bytes"))
      rule.maxBytes = number("max_bytes", 0, kAnySize);
    else
      rule.maxBytes = kAnySize;
    const auto protocol = parseProtocol(text("protocol"));
    if (!protocol) bad("'protocol' must be ll, simple or zero_copy");
    if (*protocol == HostProtocol::zeroCopy && (rule.modes & kSealed) != 0)
      bad("zero_copy is for p2p and multicast only: in sealed modes plaintext would leave the "
          "rank");
    rule.protocol = *protocol;
    rule.algorithm = text("algorithm");
    if (schedule::findAlgorithm(rule.collective, rule.algorithm, edgesOf(rule.protocol)) == nullptr)
      bad(fmt::format("there is no '{}' with protocol {} for {}; algorithms: {}", rule.algorithm,
                      name(rule.protocol), name(rule.collective), algorithmNames(rule.collective)));
    rule.tileBytes =
        json_.contains("tile_bytes") ? number("tile_bytes", 64, std::size_t{1} << 30) : 64 * KiB;
    rule.depth = json_.contains("depth") ? static_cast<int>(number("depth", 1, kMaxDepth)) : 1;
    return rule;
  }

 private:
  [[noreturn]] void bad(const std::string& what) const {
    fail(ErrorCode::invalidArgument, "{}: {}", where_, what);
  }
  std::string text(const char* key) const {
    if (!json_.contains(key) || !json_.at(key).is_string())
      bad(fmt::format("'{}' must be a string", key));
    return json_.at(key).get<std::string>();
  }
  std::size_t number(const char* key, std::size_t least, std::size_t most) const {
    if (!json_.at(key).is_number_unsigned() || json_.at(key).get<std::uint64_t>() < least ||
        json_.at(key).get<std::uint64_t>() > most)
      bad(fmt::format("'{}' must be a whole number from {} to {}", key, least, most));
    return json_.at(key).get<std::size_t>();
  }
  void readModes(Rule& rule) const {
    if (!json_.contains("modes") || !json_.at("modes").is_array())
      bad("'modes' must be a list of modes");
    for (const auto& entry : json_.at("modes")) {
      const auto mode = entry.is_string() ? parseMode(entry.get<std::string>()) : std::nullopt;
      if (!mode) bad("'modes' may hold p2p, multicast, cc and cc-multicast");
      rule.modes |= bit(*mode);
    }
  }
  void readRanks(Rule& rule) const {
    if (!json_.contains("ranks")) return;
    const auto& ranks = json_.at("ranks");
    const bool pair = ranks.is_array() && ranks.size() == 2 && ranks[0].is_number_unsigned() &&
                      ranks[1].is_number_unsigned();
    if (!pair || ranks[0] < 1 || ranks[1] < ranks[0] || ranks[1] > schedule::kMaxWorld)
      bad(fmt::format("'ranks' must be [least, most], 1 to {}", schedule::kMaxWorld));
    rule.minRanks = ranks[0].get<int>();
    rule.maxRanks = ranks[1].get<int>();
  }

  const nlohmann::json& json_;
  std::string where_;
};

Choice toChoice(const Rule& rule) {
  return {schedule::findAlgorithm(rule.collective, rule.algorithm, edgesOf(rule.protocol)),
          rule.protocol, rule.tileBytes, rule.depth};
}

}  // namespace

std::string_view name(HostProtocol protocol) {
  return kProtocolNames[static_cast<std::size_t>(protocol)];
}
std::optional<HostProtocol> parseProtocol(std::string_view text) {
  return detail::parseName<HostProtocol>(kProtocolNames, text);
}

namespace {

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
       128 * KiB, 4, true},
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
  return {
      {c, kClear, Buffers::any, 1, 64, 512, "direct", HostProtocol::ll, 8 * KiB, 1},
      {c, kClear, Buffers::direct, 1, 64, kAnySize, "direct", HostProtocol::zeroCopy, 0, 1},
      {c, kClear, Buffers::ordinary, 1, 2, 4 * KiB, "direct", HostProtocol::ll, 8 * KiB, 1},
      {c, kClear, Buffers::ordinary, 1, 64, 64 * KiB, "direct", HostProtocol::simple, 32 * KiB, 4,
       true},
      {c, kClear, Buffers::ordinary, 1, 64, kAnySize, "direct", HostProtocol::zeroCopy, 0, 1},
      {c, kClear, Buffers::any, 1, 64, kAnySize, "direct", HostProtocol::simple, 32 * KiB, 4},
      {c, kSealed, Buffers::any, 1, 64, 1 * KiB, "direct", HostProtocol::ll, 8 * KiB, 1},
      {c, kSealed, Buffers::any, 1, 64, kAnySize, "direct", HostProtocol::simple, 16 * KiB, 4},
  };
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
        HostProtocol::ll, 64, 1},
       {Collective::barrier, kClear | kSealed, Buffers::any, 1, 64, kAnySize, "dissemination",
        HostProtocol::ll, 64, 1}});
  for (std::size_t c = 0; c < kCollectives; ++c) {
    const auto collective = static_cast<Collective>(c);
    if (collective != Collective::allReduce && collective != Collective::barrier)
      add(directRules(collective));
  }
  return table;
}

void TuningTable::attachPaysAbove(std::size_t bytes) {
  for (Rule& rule : rules_)
    if (rule.untilAttach) rule.maxBytes = bytes;
}

namespace {

/// What is asked for by name and exists for this collective; the rest of it is selected.
struct Force {
  std::string_view algorithm;
  std::optional<HostProtocol> protocol;
};

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
    fail(ErrorCode::invalidArgument, "algorithm '{}': there are {}", algorithm, algorithmNames());
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
  const HostProtocol protocol =
      force.protocol.value_or(situation.bytes <= 2 * KiB ? HostProtocol::ll : HostProtocol::simple);
  const auto* found = schedule::findAlgorithm(situation.collective, algorithm, edgesOf(protocol));
  if (found == nullptr)
    fail(ErrorCode::invalidArgument, "{}: algorithm '{}' has no protocol '{}'",
         name(situation.collective), algorithm, name(protocol));
  return {found, protocol, protocol == HostProtocol::ll ? 8 * KiB : 64 * KiB,
          protocol == HostProtocol::simple ? 4 : 1};
}

constexpr const char* kTableText = "expected {\"version\": 1, \"rules\": [..]}";

}  // namespace

TuningTable TuningTable::parse(std::string_view json, std::string_view source) {
  if (json.find_first_not_of(" \t\r\n") == std::string_view::npos)
    fail(ErrorCode::invalidArgument, "tuning file {} is empty; {}", source, kTableText);
  nlohmann::json root;
  try {
    root = nlohmann::json::parse(json);
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorCode::invalidArgument, "tuning file {} is not JSON: {}", source, error.what());
  }
  if (!root.is_object() || root.value("version", nlohmann::json()) != 1 ||
      !root.contains("rules") || !root.at("rules").is_array())
    fail(ErrorCode::invalidArgument, "tuning file {}: {}", source, kTableText);
  TuningTable table;
  std::size_t number = 0;
  for (const auto& rule : root.at("rules"))
    table.rules_.push_back(
        RuleReader(rule, fmt::format("tuning file {}, rule {}", source, ++number)).read());
  // What the file leaves open, the built-in rules decide.
  const TuningTable rest = builtIn();
  table.rules_.insert(table.rules_.end(), rest.rules_.begin(), rest.rules_.end());
  return table;
}

TuningTable TuningTable::read(const std::string& path) {
  constexpr std::size_t kMostBytes = std::size_t{1} << 20;
  // Without O_NONBLOCK, opening a pipe waits for whoever writes it.
  const Fd file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0)
    fail(ErrorCode::invalidArgument, "cannot read tuning file {}: {}", path, std::strerror(errno));
  if (!S_ISREG(status.st_mode))
    fail(ErrorCode::invalidArgument,
         "tuning file {} is a folder, a pipe or a device; it takes a regular file", path);
  std::string text(kMostBytes + 1, '\0');
  std::size_t size = 0;
  for (ssize_t n = 1; n > 0 && size < text.size(); size += static_cast<std::size_t>(n)) {
    n = ::read(file.get(), text.data() + size, text.size() - size);
    if (n < 0)
      fail(ErrorCode::invalidArgument, "cannot read tuning file {}: {}", path,
           std::strerror(errno));
  }
  if (size > kMostBytes)
    fail(ErrorCode::invalidArgument, "tuning file {} is larger than 1 MiB", path);
  text.resize(size);
  return parse(text, path);
}

Choice TuningTable::select(const Situation& situation, std::string_view algorithm,
                           std::string_view protocol) const {
  const Force force = forceOf(situation, algorithm, protocol);
  // Of what is forced, the first rule that agrees has the right tile.
  for (const Rule& rule : rules_)
    if (matches(rule, situation) &&
        (force.algorithm.empty() || rule.algorithm == force.algorithm) &&
        (!force.protocol || rule.protocol == *force.protocol))
      return toChoice(rule);
  if (force.algorithm.empty() && !force.protocol)
    fail(ErrorCode::internal, "no tuning rule covers {} of {} bytes", name(situation.collective),
         situation.bytes);
  return forced(situation, force);
}

std::string TuningTable::text() const {
  std::string text;
  for (const Rule& r : rules_)
    text += fmt::format("{} {} {} {}-{} {} {} {} {} {}\n", name(r.collective), r.modes,
                        static_cast<int>(r.buffers), r.minRanks, r.maxRanks, r.maxBytes,
                        r.algorithm, name(r.protocol), r.tileBytes, r.depth);
  return text;
}

}  // namespace lockstep
