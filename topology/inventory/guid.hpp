// Numbers of network cards, as NCCL writes them.
#pragma once

#include <string>
#include <string_view>

namespace lockstep::topology {

/// "946d:ae03:001e:1948", as the kernel and hwloc write a GUID, in NCCL's way: libibverbs hands it
/// the bytes in network order, and it prints them as a number of this machine's order:
/// "0x48191e0003ae6d94". Empty where `text` is no GUID, or is the one of a card that has none (0).
std::string guidAsNcclWrites(std::string_view text);

}  // namespace lockstep::topology
