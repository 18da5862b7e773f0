#include "topology/probes/sysfs/pcie_link.hpp"

#include <algorithm>
#include <charconv>

#include "topology/probes/sysfs/sysfs.hpp"

namespace lockstep::topology::sysfs {
namespace {

constexpr double kMostGigatransfers = 1024;  // generation 7 has 128
constexpr int kMostLanes = 32;

/// "32.0 GT/s PCIe", "16 GT/s"
TransferRate speedIn(const std::filesystem::path& attribute) {
  const std::string words = text(attribute).value_or(std::string());
  const char* end = words.data() + words.size();
  double value = 0;
  const auto [stop, error] = std::from_chars(words.data(), end, value);
  const bool sane =
      error == std::errc() && value > 0 && value <= kMostGigatransfers &&
      std::string_view(stop, static_cast<std::size_t>(end - stop)).starts_with(" GT/s");
  return sane ? TransferRate::gigatransfers(value) : TransferRate();
}

int widthIn(const std::filesystem::path& attribute) {
  const int lanes = number(attribute).value_or(0);
  return lanes > 0 && lanes <= kMostLanes ? lanes : 0;
}

/// The smaller; what is not known (0) does not count.
template <class Value>
Value smallerKnown(Value a, Value b) {
  if (a == Value{} || b == Value{}) return std::max(a, b);
  return std::min(a, b);
}

}  // namespace

PcieLink trainedLink(const std::filesystem::path& device) {
  return {speedIn(device / "current_link_speed"), widthIn(device / "current_link_width")};
}

PcieLink ablestLink(const std::filesystem::path& device) {
  return {speedIn(device / "max_link_speed"), widthIn(device / "max_link_width")};
}

PcieLink capableLink(const PcieLink& device, const PcieLink& portAbove, const PcieLink& trained) {
  PcieLink link;
  if (device.speed.known())
    link.speed = std::max(smallerKnown(device.speed, portAbove.speed), trained.speed);
  if (device.width > 0)
    link.width = std::max(smallerKnown(device.width, portAbove.width), trained.width);
  return link;
}

}  // namespace lockstep::topology::sysfs
