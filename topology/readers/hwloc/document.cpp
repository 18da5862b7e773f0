#include "topology/readers/hwloc/document.hpp"

#include <algorithm>

#include "base/fail.hpp"

namespace lockstep::topology::hwloc_xml {
namespace {

int lineAt(std::string_view text, std::ptrdiff_t offset) {
  const auto end = std::clamp<std::ptrdiff_t>(offset, 0, static_cast<std::ptrdiff_t>(text.size()));
  return static_cast<int>(std::count(text.begin(), text.begin() + end, '\n')) + 1;
}

}  // namespace

Document::Document(std::string_view text, const std::string& source)
    : text_(text), source_(source) {
  const auto elements = static_cast<std::size_t>(std::count(text.begin(), text.end(), '<'));
  if (elements > 2 * kMostElements)  // most have an end of their own
    fail(ErrorCode::invalidArgument, "{}: more than {} elements; no machine has so many", source,
         kMostElements);
  const pugi::xml_parse_result result = tree_.load_buffer(
      text.data(), text.size(), pugi::parse_minimal | pugi::parse_escapes, pugi::encoding_utf8);
  if (!result)
    fail(ErrorCode::invalidArgument, "{}:{}: {}; well-formed XML was expected", source,
         lineAt(text, result.offset), result.description());
  if (std::string_view(root().name()) != "topology")
    refuse(root(), "the first element is not <topology>");
  checkDepth();
}

int Document::lineOf(const pugi::xml_node& node) const {
  return lineAt(text_, node.offset_debug());
}

void Document::refuse(const pugi::xml_node& where, std::string_view what) const {
  fail(ErrorCode::invalidArgument, "{}:{}: {}", source_, lineOf(where), what);
}

void Document::remark(const pugi::xml_node& where, std::string text) {
  if (remarks_.size() + 1 >= kMostRemarks)
    ++unsaid_;
  else
    remarks_.push_back({where ? lineOf(where) : 0, std::move(text)});
}

std::vector<Remark> Document::finish() {
  if (unsaid_ > 0) remarks_.push_back({0, fmt::format("and {} more remarks", unsaid_)});
  unsaid_ = 0;
  return std::move(remarks_);
}

void Document::checkDepth() const {
  std::size_t depth = 1;
  for (pugi::xml_node node = root(); node;) {
    if (depth > kMostDepth)
      refuse(node, fmt::format("elements are nested more than {} deep", kMostDepth));
    if (const pugi::xml_node child = node.first_child()) {
      node = child;
      ++depth;
      continue;
    }
    while (node && node != root() && !node.next_sibling()) {
      node = node.parent();
      --depth;
    }
    if (node == root()) return;
    node = node.next_sibling();
  }
}

pugi::xml_node next(const pugi::xml_node& root, pugi::xml_node node) {
  if (const pugi::xml_node child = node.first_child()) return child;
  while (node != root && !node.next_sibling()) node = node.parent();
  return node == root ? pugi::xml_node() : node.next_sibling();
}

}  // namespace lockstep::topology::hwloc_xml
