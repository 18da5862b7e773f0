#include "topology/inventory/transfer_rate.hpp"

#include <charconv>
#include <cmath>

#include <fmt/format.h>

namespace lockstep::topology {
namespace {

/// Ten times what PCIe has plans for.
constexpr double kMostGigatransfers = 1280;

bool isUnit(std::string_view text) {
  return text == "GT/s" || text == " GT/s" || text == " GT/s PCIe";
}

}  // namespace

std::optional<TransferRate> parseTransferRate(std::string_view text) {
  if (text.empty() || text == "Unknown" || text == "Unknown speed") return TransferRate{};
  double value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  if (!isUnit(text.substr(static_cast<std::size_t>(stop - text.data())))) return std::nullopt;
  if (!(value >= 0 && value <= kMostGigatransfers)) return std::nullopt;
  return value > 0 ? TransferRate::gigatransfers(value) : TransferRate{};
}

std::string print(TransferRate rate) {
  if (!rate.known()) return {};
  const double value = rate.gigatransfers();
  if (value == std::floor(value)) return fmt::format("{:.1f} GT/s PCIe", value);
  return fmt::format("{} GT/s PCIe", value);
}

}  // namespace lockstep::topology
