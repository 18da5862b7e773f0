// Where a device sits on PCI: "0000:1b:00.0".
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lockstep::topology {

/// Wider than PCI allows where files are: NCCL writes invisible switches as fffffff:ff:ff.0.
struct BusId {
  std::uint32_t domain = 0;
  std::uint8_t bus = 0;
  std::uint8_t device = 0;
  std::uint8_t function = 0;

  friend constexpr auto operator<=>(const BusId&, const BusId&) = default;
  /// Functions of one device share its PCIe link: the two ports of a NIC, for one.
  constexpr bool sameDevice(const BusId& other) const {
    return domain == other.domain && bus == other.bus && device == other.device;
  }
};

/// What NCCL writes as the target of an NVLink to a switch that the machine does not show.
inline constexpr BusId kInvisibleSwitch{0xfffffff, 0xff, 0xff, 0};

/// Hexadecimal of either case, domain of 1 to 8 digits ("00000000:1B:00.0" is NVML's way), or none
/// ("1b:00.0" is lspci's). Nothing where `text` is anything else.
std::optional<BusId> parseBusId(std::string_view text);

/// "0000:1b:00.0", as sysfs and NCCL write it.
std::string print(const BusId& id);

}  // namespace lockstep::topology
