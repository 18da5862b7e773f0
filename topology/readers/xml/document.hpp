// A parsed XML text, bounded, with the place of each element.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <pugixml.hpp>

#include "topology/inventory/inventory.hpp"
#include "topology/readers/xml/report.hpp"

namespace lockstep::topology::xml {

/// The largest machines that hwloc has recorded have some 50,000.
inline constexpr std::size_t kMostElements = 100'000;
/// Elements within each other; the root alone is 1 deep. So readers may call themselves.
inline constexpr int kDeepest = 64;
/// Of one element.
inline constexpr std::size_t kMostAttributes = 64;

/// The name of the first element, looking no further; empty where there is none. For
/// Reader::recognises.
std::string_view rootName(std::string_view text);

/// For a Report: where the node is in the text.
inline std::size_t offsetOf(const pugi::xml_node& node) {
  return static_cast<std::size_t>(std::max<std::ptrdiff_t>(0, node.offset_debug()));
}

/// Valid while its Document is.
class Element {
 public:
  explicit Element(pugi::xml_node node) : node_(node) {}
  std::string_view name() const { return node_.name(); }
  /// For a Report.
  std::size_t offset() const { return offsetOf(node_); }
  /// For readers that walk upwards too.
  pugi::xml_node node() const { return node_; }
  /// Something else than elements, comments and blanks is directly in it.
  bool hasText() const;
  /// Elements in it, in their order.
  std::vector<Element> children() const;
  /// In their order, each name once; UTF-8.
  Attributes attributes() const;

 private:
  pugi::xml_node node_;
};

/// Names in it are UTF-8, and no element has an attribute twice.
class Document {
 public:
  /// Throws by way of `report` where `text` is not well-formed XML of one root element named
  /// `root`, or exceeds the bounds above.
  Document(std::string_view text, std::string_view root, const Report& report);
  Element root() const { return Element(root_); }

 private:
  std::string buffer_;  // pugixml parses in place: names and values point into it
  pugi::xml_document document_;
  pugi::xml_node root_;
};

}  // namespace lockstep::topology::xml
