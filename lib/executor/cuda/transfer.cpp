#include "executor/cuda/transfer.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace lockstep::cuda {
namespace {

/// Less than this is not worth another block.
constexpr std::uint64_t kLeastMessageBytes = 4096;
/// Messages begin at so much of a buffer, as slots do.
constexpr std::uint64_t kMessageLine = 128;
/// What a group of transfers is called by; Described's is 1.
constexpr std::uint64_t kTransfers = 2;

constexpr std::uint64_t divideUp(std::uint64_t n, std::uint64_t by) {
  return n / by + (n % by != 0 ? 1 : 0);
}

}  // namespace

Kernel transferKernel(bool sealed) {
  Kernel kernel;
  kernel.name = sealed ? "lockstep_transfer_sealed" : "lockstep_transfer";
  kernel.sealed = sealed;
  kernel.threads = sealed ? 256 : 512;  // as its registers allow
  kernel.elementBytes = 1;
  kernel.text = fmt::format(R"(#include "executor/cuda/prelude/{}.cuh"

LOCKSTEP_KERNEL_OF({}, lockstep::device::TransferLaunch) {{
  using namespace lockstep::device;
  runTransfers<{}>(launch);
}}
)",
                            sealed ? "sealed_transfer" : "transfer", kernel.name,
                            sealed ? "SealedCarrier<Cipher::table>" : "ClearCarrier");
  return kernel;
}

std::uint32_t messageBytesOf(const device::Geometry& geometry, std::uint64_t bytes) {
  const std::uint64_t even = divideUp(divideUp(bytes, geometry.lanes), kMessageLine) * kMessageLine;
  const std::uint64_t most = geometry.slotBytes;
  return static_cast<std::uint32_t>(std::clamp(even, std::min(kLeastMessageBytes, most), most));
}

unsigned blocksOf(const device::Geometry& geometry, const device::Transfer& transfer) {
  return static_cast<unsigned>(std::min<std::uint64_t>(transfer.messages(), geometry.lanes));
}

std::optional<std::string> describeTransfer(std::uint64_t fingerprint) {
  const std::uint64_t type = fingerprint >> 48 & 0xff;
  if (fingerprint >> 56 != device::Transfer::kMark || type >= kDataTypes) return std::nullopt;
  return fmt::format("{} bytes of {}", fingerprint & device::Transfer::kMostBytes,
                     name(static_cast<DataType>(type)));
}

std::uint64_t packTransfers(unsigned sends, unsigned receives) {
  return kTransfers | std::uint64_t{sends} << 8 | std::uint64_t{receives} << 16;
}

std::optional<std::string> describeTransfers(std::uint64_t what) {
  if ((what & 0xff) != kTransfers || what >> 24 != 0) return std::nullopt;
  return fmt::format("{} sends and {} receives", what >> 8 & 0xff, what >> 16 & 0xff);
}

}  // namespace lockstep::cuda
