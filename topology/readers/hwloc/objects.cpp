#include "topology/readers/hwloc/objects.hpp"

#include <algorithm>
#include <charconv>
#include <system_error>

namespace lockstep::topology::hwloc_xml {
namespace {

template <class Number>
bool parse(std::string_view text, Number& value, int base) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, base);
  return !text.empty() && error == std::errc() && stop == end;
}

/// Up to the next blank.
std::string_view takeWord(std::string_view& text) {
  const std::size_t blank = std::min(text.find(' '), text.size());
  const std::string_view word = text.substr(0, blank);
  text.remove_prefix(std::min(blank + 1, text.size()));
  return word;
}

/// "[10de:2330]"
void parsePair(std::string_view text, std::optional<std::uint16_t>& vendor,
               std::optional<std::uint16_t>& device) {
  std::uint16_t first = 0, second = 0;
  if (text.size() != 11 || text[0] != '[' || text[5] != ':' || text[10] != ']') return;
  if (!parse(text.substr(1, 4), first, 16) || !parse(text.substr(6, 4), second, 16)) return;
  vendor = first;
  device = second;
}

}  // namespace

pugi::xml_node next(const pugi::xml_node& root, pugi::xml_node node) {
  if (const pugi::xml_node child = node.first_child()) return child;
  while (node != root && !node.next_sibling()) node = node.parent();
  return node == root ? pugi::xml_node() : node.next_sibling();
}

std::string_view typeOf(const pugi::xml_node& object) {
  return object.attribute("type").value();
}

std::string_view infoOf(const pugi::xml_node& object, std::string_view name) {
  for (const pugi::xml_node& info : object.children("info"))
    if (info.attribute("name").value() == name) return info.attribute("value").value();
  return {};
}

std::optional<int> numberIn(std::string_view text) {
  int value = 0;
  return parse(text, value, 10) && value >= 0 ? std::optional(value) : std::nullopt;
}

std::optional<int> numberOf(const pugi::xml_node& object, const char* attribute) {
  return numberIn(object.attribute(attribute).value());
}

std::optional<PciDevice> pciDeviceOf(const pugi::xml_node& object) {
  const std::optional<BusId> id = parseBusId(object.attribute("pci_busid").value());
  if (!id) return std::nullopt;
  PciDevice device;
  device.id = *id;
  std::string_view type = object.attribute("pci_type").value();
  const std::string_view code = takeWord(type);
  // Up to hwloc 2 without the programming interface.
  if ((code.size() == 4 || code.size() == 6) && parse(code, device.classCode, 16))
    device.classCode <<= code.size() == 4 ? 8 : 0;
  parsePair(takeWord(type), device.vendor, device.device);
  parsePair(takeWord(type), device.subsystemVendor, device.subsystemDevice);
  device.name = infoOf(object, "PCIDevice");
  return device;
}

double linkSpeedOf(const pugi::xml_node& object) {
  const std::string_view text = object.attribute("pci_link_speed").value();
  double value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && stop == text.data() + text.size() ? value : 0;
}

}  // namespace lockstep::topology::hwloc_xml
