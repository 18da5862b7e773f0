// Colours of drawings, one per kind.
#pragma once

#include <string_view>

#include "topology/graph/graph.hpp"

namespace lockstep::topology {

struct Colours {
  std::string_view fill, stroke;
};
Colours coloursOf(NodeKind kind);
std::string_view colourOf(LinkKind kind);

}  // namespace lockstep::topology
