#include "topology/rules/evidence/words.hpp"

#include <array>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

namespace lockstep::topology {
namespace {

constexpr std::size_t kMostParts = 8;

/// "GPU3": what is before the number, and the number. -1 where it ends with none that counts.
struct Numbered {
  std::string_view prefix;
  std::int64_t number = -1;
};

Numbered split(std::string_view name) {
  const std::size_t last = name.find_last_not_of("0123456789");
  const std::size_t digits = last == std::string_view::npos ? 0 : last + 1;
  Numbered parts{name.substr(0, digits), -1};
  // Bus ids end with a digit and count nothing.
  const bool counts = digits < name.size() && name.find(':') == std::string_view::npos;
  std::uint32_t number = 0;
  const char* end = name.data() + name.size();
  if (counts && std::from_chars(name.data() + digits, end, number).ec == std::errc{})
    parts.number = number;
  return parts;
}

bool follows(const std::string& name, const std::string& next) {
  const Numbered a = split(name);
  const Numbered b = split(next);
  return a.number >= 0 && b.number == a.number + 1 && a.prefix == b.prefix;
}

}  // namespace

std::string list(const std::vector<std::string>& names) {
  std::string text;
  std::size_t parts = 0;
  for (std::size_t first = 0; first < names.size(); ++parts) {
    if (parts == kMostParts) return fmt::format("{} and {} more", text, names.size() - first);
    std::size_t last = first;
    while (last + 1 < names.size() && follows(names[last], names[last + 1])) ++last;
    const bool run = last >= first + 2;
    if (!text.empty()) text += ", ";
    text += names[first];
    if (run) text += ".." + names[last];
    first = run ? last + 1 : first + 1;
  }
  return text;
}

std::string list(const Graph& graph, const std::vector<NodeId>& nodes) {
  std::vector<std::string> names;
  names.reserve(nodes.size());
  for (const NodeId id : nodes) names.push_back(graph.node(id).name);
  return list(names);
}

std::string counted(std::int64_t count, std::string_view noun) {
  const std::string_view ending = count == 1 ? "" : noun.ends_with("ch") ? "es" : "s";
  return fmt::format("{} {}{}", count == 0 ? "no" : fmt::to_string(count), noun, ending);
}

std::string_view agree(std::size_t count, std::string_view one, std::string_view many) {
  return count == 1 ? one : many;
}

std::string share(double part) {
  constexpr std::array<std::string_view, 4> kPowers{"half", "a quarter", "an eighth",
                                                    "a sixteenth"};
  double power = 0.5;
  for (const std::string_view word : kPowers) {
    if (std::abs(part - power) < power * 0.05) return std::string(word);
    power /= 2;
  }
  return fmt::format("{:.0f} %", part * 100);
}

std::string described(const Node& node) {
  if (node.kind != NodeKind::nvSwitch) return node.name;
  if (node.bus == kInvisibleSwitch) return "NVSwitches that the machine does not show";
  return fmt::format("{} ({})", node.name, print(node.bus));
}

}  // namespace lockstep::topology
