// Sends and receives on GPUs, as the host sees them: the kernel's text, how bytes become messages,
// and the words in which ranks hear of each other. Pure, and the same on every rank.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "executor/cuda/generate.hpp"
#include "executor/cuda/prelude/transfer_call.cuh"
#include <lockstep/types.hpp>

namespace lockstep::cuda {

/// The kernel that runs a device::TransferLaunch, for worlds of any size.
Kernel transferKernel(bool sealed);

/// Bytes of a message: all lanes have some of a large transfer, few have a small one.
std::uint32_t messageBytesOf(const device::Geometry& geometry, std::uint64_t bytes);
/// Blocks that have something of a transfer.
unsigned blocksOf(const device::Geometry& geometry, const device::Transfer& transfer);

/// "40 bytes of f32" from a transfer's fingerprint; nothing from that of a collective.
std::optional<std::string> describeTransfer(std::uint64_t fingerprint);

/// How many of a call, in the word that a call is called by; and for people, if it is one:
/// "2 sends and 1 receives".
std::uint64_t packTransfers(unsigned sends, unsigned receives);
std::optional<std::string> describeTransfers(std::uint64_t what);

}  // namespace lockstep::cuda
