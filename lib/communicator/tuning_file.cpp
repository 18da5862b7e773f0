// Tuning files: what they may hold, and what is refused.
#include <algorithm>
#include <array>
#include <limits>

#include <fcntl.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include "base/fail.hpp"
#include "base/fd.hpp"
#include "communicator/tuning.hpp"
#include <lockstep/communicator.hpp>

namespace lockstep {

namespace {

constexpr std::array<std::string_view, 3> kBuffersNames{"any", "registered", "ordinary"};
constexpr std::size_t kAnySize = std::numeric_limits<std::size_t>::max();
constexpr std::size_t kMostBytes = std::size_t{1} << 20;  // of a file
constexpr std::size_t kMostText = 200;                    // of a name or note in it
constexpr int kMaxDepth = 8;                              // slots of a channel
constexpr std::size_t KiB = 1024;

constexpr std::uint8_t kSealedModes = bit(Mode::cc) | bit(Mode::ccMulticast) | bit(Mode::ccMasked);

std::vector<std::string_view> collectiveNames() {
  std::vector<std::string_view> names;
  for (std::size_t c = 0; c < kCollectives; ++c) names.push_back(name(static_cast<Collective>(c)));
  return names;
}

/// A key of an object that is none of those; empty: it has only those.
template <std::size_t N>
std::string unknownKey(const nlohmann::json& object, const std::array<std::string_view, N>& known) {
  for (const auto& [key, value] : object.items())
    if (std::find(known.begin(), known.end(), key) == known.end()) return key;
  return {};
}

/// One rule of a file, with the place for error texts.
class RuleReader {
 public:
  RuleReader(const nlohmann::json& json, std::string where)
      : json_(json), where_(std::move(where)) {
    if (!json.is_object()) bad("a rule must be an object");
  }

  Rule read() {
    static constexpr std::array<std::string_view, 11> kKnown{
        "op",        "modes",     "buffers",  "ranks",      "types", "min_bytes",
        "max_bytes", "algorithm", "protocol", "tile_bytes", "depth"};
    if (const std::string key = unknownKey(json_, kKnown); !key.empty())
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
    readTypes(rule);
    if (json_.contains("min_bytes")) rule.minBytes = number("min_bytes", 0, kAnySize);
    rule.maxBytes =
        json_.contains("max_bytes") ? number("max_bytes", rule.minBytes, kAnySize) : kAnySize;
    const auto protocol = parseProtocol(text("protocol"));
    if (!protocol) bad("'protocol' must be ll, simple or zero_copy");
    if (*protocol == HostProtocol::zeroCopy && (rule.modes & kSealedModes) != 0)
      bad("zero_copy is for p2p and multicast only: in sealed modes plaintext would leave the "
          "rank");
    rule.protocol = *protocol;
    rule.algorithm = text("algorithm");
    if (algorithmOf(rule) == nullptr)
      bad(fmt::format(
          "there is no '{}' with protocol {} for {}; algorithms: {}", rule.algorithm,
          name(rule.protocol), name(rule.collective),
          algorithmNames([&](const auto& a) { return a.collective == rule.collective; })));
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
      if (!mode) bad("'modes' may hold p2p, multicast, cc, cc-multicast and cc-masked");
      rule.modes |= bit(*mode);
    }
  }
  void readTypes(Rule& rule) const {
    if (!json_.contains("types")) return;
    rule.types = 0;
    if (!json_.at("types").is_array()) bad("'types' must be a list of data types");
    for (const auto& entry : json_.at("types")) {
      const auto type = entry.is_string() ? parseDataType(entry.get<std::string>()) : std::nullopt;
      if (!type) bad(fmt::format("'types' may hold {}", fmt::join(detail::kDataTypeNames, ", ")));
      rule.types |= bit(*type);
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

[[noreturn]] void badFile(std::string_view source, std::string_view what) {
  fail(ErrorCode::invalidArgument, "tuning file {}: {}", source, what);
}

constexpr const char* kTableText =
    "expected {\"version\": 2, \"tables\": [..]} or {\"version\": 1, \"rules\": [..]}";

nlohmann::json parseJson(std::string_view text, std::string_view source) {
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos)
    badFile(source, fmt::format("it is empty; {}", kTableText));
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorCode::invalidArgument, "tuning file {} is not JSON: {}", source, error.what());
  }
}

/// Text of a table that people may read; empty where there is none.
std::string noteOf(const nlohmann::json& table, const char* key, std::string_view source) {
  if (!table.contains(key)) return {};
  const auto& note = table.at(key);
  const bool good = note.is_string() && note.get_ref<const std::string&>().size() <= kMostText;
  if (!good)
    badFile(source, fmt::format("'{}' must be a text of at most {} bytes", key, kMostText));
  return note.get<std::string>();
}

std::vector<Rule> rulesOf(const nlohmann::json& table, const std::string& where) {
  std::vector<Rule> rules;
  for (const auto& json : table.at("rules")) {
    Rule rule = RuleReader(json, fmt::format("{}, rule {}", where, rules.size() + 1)).read();
    rule.number = rules.size() + 1;
    rules.push_back(std::move(rule));
  }
  return rules;
}

}  // namespace

TuningTable TuningTable::parse(std::string_view json, std::string_view source,
                               std::string_view machine) {
  const nlohmann::json root = parseJson(json, source);
  const auto listAt = [](const nlohmann::json& object, const char* key) {
    return object.is_object() && object.contains(key) && object.at(key).is_array();
  };
  const auto version = root.is_object() ? root.value("version", nlohmann::json()) : nullptr;
  TuningTable table;
  table.source_ = source;
  const std::string where = fmt::format("tuning file {}", source);
  if (version == 1 && listAt(root, "rules")) {
    table.rules_ = rulesOf(root, where);
  } else if (version == 2 && listAt(root, "tables")) {
    table.foreign_ = true;
    std::size_t number = 0;
    // All are read, so that a file is good or bad everywhere alike.
    for (const auto& entry : root.at("tables")) {
      static constexpr std::array<std::string_view, 3> kKnown{"machine", "measured", "rules"};
      ++number;
      if (!listAt(entry, "rules") || !unknownKey(entry, kKnown).empty())
        badFile(source, fmt::format("table {}: expected {{\"machine\": \"..\", \"measured\": "
                                    "\"..\", \"rules\": [..]}}",
                                    number));
      const std::string here = noteOf(entry, "machine", source);
      const std::string measured = noteOf(entry, "measured", source);
      std::vector<Rule> rules = rulesOf(entry, fmt::format("{}, table {}", where, number));
      if (!table.foreign_ || !(here.empty() || here == machine)) continue;
      table.foreign_ = false;
      table.measured_ = measured;
      table.rules_ = std::move(rules);
    }
  } else {
    badFile(source, kTableText);
  }
  // What the file leaves open, the built-in rules decide.
  const TuningTable rest = builtIn();
  table.rules_.insert(table.rules_.end(), rest.rules_.begin(), rest.rules_.end());
  return table;
}

TuningTable TuningTable::read(const std::string& path) {
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
  return parse(text, path, machine());
}

}  // namespace lockstep
