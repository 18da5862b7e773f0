#include "topology/readers/xml/document.hpp"

#include <algorithm>

#include "topology/readers/xml/text.hpp"

namespace lockstep::topology::xml {
namespace {

/// pugixml builds its whole tree before one can look at it, at some 60 bytes for each tag and 40
/// for each attribute. So both are counted first, roughly: twice as many '<' as elements, for end
/// tags, and as many again for comments.
constexpr std::size_t kMostTags = 4 * kMostElements;
constexpr std::size_t kMostEquals = 16 * kMostElements;

void requireBounded(std::string_view text, const Report& report) {
  std::size_t tags = 0;
  std::size_t equals = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\0') report.fail(i, "a zero byte; XML text is expected");
    if (text[i] == '<' && ++tags > kMostTags)
      report.fail(i, "more than {} tags; at most {} elements are read", kMostTags, kMostElements);
    if (text[i] == '=' && ++equals > kMostEquals)
      report.fail(i, "more than {} attributes; no topology file has so many", kMostEquals);
  }
}

std::string_view wordsFor(pugi::xml_parse_status status) {
  switch (status) {
    case pugi::status_bad_attribute:
      return "an attribute that is not NAME=\"VALUE\"";
    case pugi::status_bad_start_element:
      return "a start tag without its end";
    case pugi::status_bad_end_element:
      return "an end tag without its end";
    case pugi::status_end_element_mismatch:
      return "an end tag that is not that of the element it is in";
    case pugi::status_unrecognized_tag:
      return "a '<' that begins no tag";
    case pugi::status_bad_pi:
    case pugi::status_bad_comment:
    case pugi::status_bad_cdata:
    case pugi::status_bad_doctype:
      return "a comment or declaration without its end";
    default:
      return "what no XML parser can read";
  }
}

[[noreturn]] void failToParse(std::string_view text, const pugi::xml_parse_result& result,
                              const Report& report) {
  const auto offset = static_cast<std::size_t>(result.offset);
  const bool atEnd = offset + 1 >= text.size() || text.find('>', offset) == std::string_view::npos;
  if (atEnd) report.fail(offset, "the text ends before its elements do; is it cut off?");
  report.fail(offset, "not well-formed XML: {}", wordsFor(result.status));
}

void requireSoundAttributes(const Element& element, pugi::xml_node node, const Report& report) {
  std::vector<std::string_view> names;
  for (const pugi::xml_attribute attribute : node.attributes()) {
    names.emplace_back(attribute.name());
    if (names.size() > kMostAttributes)
      report.fail(element.offset(), "<{}> has more than {} attributes", shown(element.name()),
                  kMostAttributes);
    if (!isUtf8(names.back()))
      report.fail(element.offset(), "<{}> has an attribute whose name is not UTF-8: {}",
                  shown(element.name()), shown(names.back()));
  }
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end())
    report.fail(element.offset(), "<{}> has the attribute {} twice", shown(element.name()),
                shown(*twice));
}

/// pugixml walks without calling itself, so depth is safe to find out.
class BoundsCheck : public pugi::xml_tree_walker {
 public:
  explicit BoundsCheck(const Report& report) : report_(report) {}

  bool for_each(pugi::xml_node& node) override {
    if (node.type() != pugi::node_element) return true;
    const Element element(node);
    if (++elements_ > kMostElements)
      report_.fail(element.offset(), "more than {} elements; no topology file has so many",
                   kMostElements);
    if (depth() >= kDeepest)
      report_.fail(element.offset(), "<{}> is more than {} elements deep", shown(element.name()),
                   kDeepest);
    if (!isUtf8(element.name()))
      report_.fail(element.offset(), "an element whose name is not UTF-8: <{}>",
                   shown(element.name()));
    requireSoundAttributes(element, node, report_);
    return true;
  }

 private:
  const Report& report_;
  std::size_t elements_ = 0;
};

bool isText(pugi::xml_node node) {
  return node.type() == pugi::node_pcdata || node.type() == pugi::node_cdata;
}

pugi::xml_node onlyRoot(const pugi::xml_document& document, std::string_view name,
                        const Report& report) {
  pugi::xml_node root;
  for (const pugi::xml_node node : document.children()) {
    const std::size_t offset = offsetOf(node);
    if (isText(node)) report.fail(offset, "text outside of <{}>", name);
    if (node.type() != pugi::node_element) continue;
    if (root)
      report.fail(offset, "a second root element, <{}>; one <{}> is expected", shown(node.name()),
                  name);
    if (name != node.name())
      report.fail(offset, "the root element is <{}>; <{}> is expected", shown(node.name()), name);
    root = node;
  }
  if (!root) report.fail(0, "no element; <{}> is expected", name);
  return root;
}

void skipBlanks(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
}

/// Past the next `end`, or all.
void skipPast(std::string_view& text, std::string_view end) {
  const std::size_t at = text.find(end);
  text.remove_prefix(at == std::string_view::npos ? text.size() : at + end.size());
}

}  // namespace

std::string_view rootName(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  for (skipBlanks(text); text.starts_with("<"); skipBlanks(text)) {
    if (text.starts_with("<!--"))
      skipPast(text, "-->");
    else if (text.starts_with("<?"))
      skipPast(text, "?>");
    else if (text.starts_with("<!"))
      skipPast(text, ">");
    else
      return text.substr(1, text.find_first_of(" \t\r\n/>", 1) - 1);
  }
  return {};
}

bool Element::hasText() const {
  const auto children = node_.children();
  return std::any_of(children.begin(), children.end(), isText);
}

std::vector<Element> Element::children() const {
  std::vector<Element> elements;
  for (const pugi::xml_node node : node_.children())
    if (node.type() == pugi::node_element) elements.emplace_back(node);
  return elements;
}

Attributes Element::attributes() const {
  Attributes attributes;
  for (const pugi::xml_attribute attribute : node_.attributes())
    attributes.emplace_back(attribute.name(), asUtf8(attribute.value()));
  return attributes;
}

Document::Document(std::string_view text, std::string_view root, const Report& report) {
  requireBounded(text, report);
  buffer_ = text;
  // As a fragment: pugixml would pass over text outside of the root without a word.
  const pugi::xml_parse_result result = document_.load_buffer_inplace(
      buffer_.data(), buffer_.size(), pugi::parse_default | pugi::parse_fragment,
      pugi::encoding_utf8);
  if (!result) failToParse(text, result, report);
  root_ = onlyRoot(document_, root, report);
  BoundsCheck check(report);
  document_.traverse(check);
}

}  // namespace lockstep::topology::xml
