// Reading sysfs: small texts that may be missing, empty, unreadable or nonsense, any time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "topology/inventory/bus_id.hpp"

namespace lockstep::topology::sysfs {

/// The first 4 KiB of an attribute (sysfs has no more) without blanks around it. Nothing where it
/// cannot be read, or is empty. Never blocks.
std::optional<std::string> text(const std::filesystem::path& attribute);
/// Of decimal digits, with a sign or without.
std::optional<int> number(const std::filesystem::path& attribute);
/// "0x10de"
std::optional<std::uint32_t> hexadecimal(const std::filesystem::path& attribute);
/// What is in a folder, in order; nothing where it is not there. At most kMostNames of them.
std::vector<std::string> names(const std::filesystem::path& folder);
inline constexpr std::size_t kMostNames = 65536;

/// The PCI functions that a device of sysfs is behind, and itself if it is one, from the root port
/// down: the last run of bus ids in its real path. "/sys/devices/pci0000:00/0000:00:03.0/virtio2"
/// is behind 0000:00:03.0. Empty where there is none.
std::vector<BusId> pciChain(const std::filesystem::path& device);

}  // namespace lockstep::topology::sysfs
