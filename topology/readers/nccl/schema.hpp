// What the reader and the writer of NCCL's topology XML must agree on.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "topology/inventory/inventory.hpp"

namespace lockstep::topology::nccl {

/// "nvlink", "xgmi"
std::string_view elementFor(GpuLinkKind kind);

/// NCCL tells hosts apart by a number, host_hash. A host that is called something else than a
/// number gets one made of its name, and the name beside it in an attribute `host`, which NCCL
/// passes over.
std::string hostHash(std::string_view host);
/// "0x12ab", where `text` is a number in hexadecimal; nothing where it is not.
std::optional<std::string> asHostHash(std::string_view text);

}  // namespace lockstep::topology::nccl
