#include "topology/writers/labels.hpp"

#include <map>
#include <tuple>

#include <fmt/format.h>

#include "topology/writers/tree.hpp"

namespace lockstep::topology {
namespace {

/// Of whichever of both nodes is below the other; switches that are one chip are not.
std::string pcieWidth(const Graph& graph, const Link& link) {
  const bool upwards = graph.node(link.from).parent == link.to;
  if (!upwards && graph.node(link.to).parent != link.from) return {};
  const Node& lower = graph.node(upwards ? link.from : link.to);
  if (lower.pci == kNone) return {};
  return linkText(graph.inventory().pci[static_cast<std::size_t>(lower.pci)].link);
}

struct Character {
  char32_t code = 0;
  std::size_t bytes = 1;
  bool sound = false;
};

/// The first of `text`, which is not empty.
Character firstOf(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  const std::size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < bytes) return {};
  char32_t code = lead & (0x7fU >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0U) != 0x80U) return {};
    code = code << 6U | (byte(i) & 0x3fU);
  }
  constexpr char32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  if (code < kSmallest[bytes] || code > 0x10ffff || surrogate) return {};
  return {code, bytes, true};
}

/// What XML takes and what can be seen.
bool isVisible(char32_t code) {
  const bool control = code < 0x20 || (code >= 0x7f && code < 0xa0);
  return !control && code != 0xfffe && code != 0xffff;
}

}  // namespace

std::string joined(std::string a, std::string_view between, std::string_view b) {
  if (!a.empty() && !b.empty()) a += between;
  return a += b;
}

std::string widthOf(const Graph& graph, const Link& link) {
  switch (link.kind) {
    case LinkKind::pcie:
      return pcieWidth(graph, link);
    case LinkKind::nvlink:
      return fmt::format("NV{}", link.count);
    case LinkKind::xgmi:
      return fmt::format("XGMI{}", link.count);
    case LinkKind::chipToChip:
      return "C2C";
    case LinkKind::interCpu:
    case LinkKind::network:
      break;
  }
  return {};
}

std::string rateOf(Bandwidth bandwidth) {
  return bandwidth.known() ? bandwidthText(bandwidth) : std::string();
}

bool Pair::symmetric() const {
  return back != nullptr && there->count == back->count && there->bandwidth == back->bandwidth;
}

std::vector<Pair> pairsOf(const Graph& graph) {
  std::map<std::tuple<NodeId, NodeId, LinkKind>, const Link*> all;
  for (const Link& link : graph.links())
    all.emplace(std::tuple(link.from, link.to, link.kind), &link);
  std::vector<Pair> pairs;
  for (const Link& link : graph.links()) {
    const auto back = all.find({link.to, link.from, link.kind});
    if (back != all.end() && link.from > link.to) continue;
    pairs.push_back(
        {link.from, link.to, link.kind, &link, back == all.end() ? nullptr : back->second});
  }
  return pairs;
}

std::string describe(const Graph& graph, const Pair& pair) {
  const auto one = [&](const Link& link) {
    return joined(widthOf(graph, link), " ", rateOf(link.bandwidth));
  };
  std::string text = one(*pair.there);
  if (pair.back == nullptr) return joined(text, ", ", "one way");
  return pair.symmetric() ? text : joined(text, ", ", joined("back", " ", one(*pair.back)));
}

std::string clean(std::string_view text, std::size_t most) {
  std::string result;
  for (std::size_t count = 0; !text.empty(); ++count) {
    if (count == most) return result + "\u2026";
    const Character character = firstOf(text);
    if (character.sound && isVisible(character.code))
      result += text.substr(0, character.bytes);
    else
      result += "\ufffd";
    text.remove_prefix(character.bytes);
  }
  return result;
}

}  // namespace lockstep::topology
