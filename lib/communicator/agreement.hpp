// What the ranks of a new communicator settle together, so that no rank chooses alone and hangs the
// others.
#pragma once

#include <cstddef>
#include <memory>

#include "base/clock.hpp"
#include "bootstrap/peers.hpp"
#include "cc_mode/aead/aead.hpp"
#include "cc_mode/keys/key_ring.hpp"
#include "cc_mode/keys/lineage.hpp"
#include "communicator/transcript.hpp"
#include "communicator/tuning.hpp"
#include <lockstep/communicator.hpp>

namespace lockstep::agreement {

/// All ranks have the same version, options, tuning table and cipher; else mismatch, naming what
/// differs where.
void compare(Peers& peers, const Options& options, const TuningTable& tuning, const cc::Aead* aead,
             Deadline deadline);

/// Every rank may read every other's memory by process_vm_readv, and all want to.
bool crossMemoryAttach(Peers& peers, const Options& options, Deadline deadline);

/// Some set of ranks shares fewer cores than it has members, as far as their affinity masks tell.
bool ranksOutnumberCores(Peers& peers, Deadline deadline);

/// The handshake of sealed modes, which confirms all that was said over `peers`. `lineage` becomes
/// that of a communicator with these keys.
cc::KeyRing keys(Transcript& peers, const Options& options, std::shared_ptr<const cc::Aead> aead,
                 cc::Lineage& lineage, Deadline deadline);

/// A part of a message of one rank from which its reduction is written past the cache: when the
/// inputs and outputs of all ranks together no longer fit the last-level cache.
std::size_t streamingBytes(int worldSize);

}  // namespace lockstep::agreement
