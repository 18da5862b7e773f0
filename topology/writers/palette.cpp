#include "topology/writers/palette.hpp"

#include <array>

namespace lockstep::topology {

Colours coloursOf(NodeKind kind) {
  constexpr std::array<Colours, 6> kColours{{{"#fbe3c0", "#b8720a"},    // CPU
                                             {"#ececec", "#9a9a9a"},    // PCIe switch
                                             {"#d5ebb5", "#4b7a00"},    // GPU
                                             {"#dfd3f0", "#6a3fa0"},    // NVSwitch
                                             {"#cfe3f7", "#2a6099"},    // NIC
                                             {"#ffffff", "#2a6099"}}};  // network
  return kColours[static_cast<std::size_t>(kind)];
}

std::string_view colourOf(LinkKind kind) {
  constexpr std::array<std::string_view, 6> kColours{"#808080",   // PCIe
                                                     "#4b7a00",   // NVLink
                                                     "#b3261e",   // xGMI
                                                     "#6a3fa0",   // chip-to-chip
                                                     "#b8720a",   // inter-CPU
                                                     "#2a6099"};  // network
  return kColours[static_cast<std::size_t>(kind)];
}

}  // namespace lockstep::topology
