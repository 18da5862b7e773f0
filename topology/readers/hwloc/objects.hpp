// Reading single <object>s of hwloc's XML.
#pragma once

#include <optional>
#include <string_view>

#include <pugixml.hpp>

#include "topology/inventory/inventory.hpp"

namespace lockstep::topology::hwloc_xml {

/// The one after `node` in the order of the text, within `root`; null after the last.
pugi::xml_node next(const pugi::xml_node& root, pugi::xml_node node);
/// "PCIDev"
std::string_view typeOf(const pugi::xml_node& object);
/// <info name= value=> of the object; empty where it has none of that name.
std::string_view infoOf(const pugi::xml_node& object, std::string_view name);
/// Not negative, of decimal digits.
std::optional<int> numberIn(std::string_view text);
std::optional<int> numberOf(const pugi::xml_node& object, const char* attribute);
/// From pci_busid and pci_type, "0302 [10de:2330] [10de:16c1] a1"; nothing without a bus id.
std::optional<PciDevice> pciDeviceOf(const pugi::xml_node& object);

/// pci_link_speed, GB/s; 0 where it is not told.
double linkSpeedOf(const pugi::xml_node& object);

}  // namespace lockstep::topology::hwloc_xml
