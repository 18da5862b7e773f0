#include "topology/readers/nccl/schema.hpp"

#include <cstdint>

#include <fmt/format.h>

#include "topology/readers/xml/fields.hpp"

namespace lockstep::topology::nccl {
namespace {

/// FNV-1a, 64 bits.
std::uint64_t hash(std::string_view text) {
  std::uint64_t value = 0xcbf29ce484222325;
  for (const char c : text) {
    value ^= static_cast<unsigned char>(c);
    value *= 0x100000001b3;
  }
  return value;
}

}  // namespace

std::string_view elementFor(GpuLinkKind kind) {
  return kind == GpuLinkKind::xgmi ? "xgmi" : "nvlink";
}

std::optional<std::string> asHostHash(std::string_view text) {
  if (!text.starts_with("0x") && !text.starts_with("0X")) return std::nullopt;
  const auto value = xml::parseHexadecimal(text, 16);
  if (!value) return std::nullopt;
  return fmt::format("{:#x}", *value);
}

std::string hostHash(std::string_view host) {
  return fmt::format("{:#x}", hash(host));
}

}  // namespace lockstep::topology::nccl
