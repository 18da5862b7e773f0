// PCIe links as sysfs tells them.
#pragma once

#include <filesystem>

#include "topology/inventory/inventory.hpp"

namespace lockstep::topology::sysfs {

/// As trained now: current_link_speed and current_link_width. What is "Unknown", 255 lanes or
/// missing is 0.
PcieLink trainedLink(const std::filesystem::path& device);
/// What this end alone could do: max_link_speed and max_link_width.
PcieLink ablestLink(const std::filesystem::path& device);
/// What both ends could do, where what is not known does not narrow it; never less than `trained`,
/// since the ports that hypervisors make up claim less than they do. Unknown where `device` is.
PcieLink capableLink(const PcieLink& device, const PcieLink& portAbove, const PcieLink& trained);

}  // namespace lockstep::topology::sysfs
