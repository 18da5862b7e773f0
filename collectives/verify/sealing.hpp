// The proofs about secrecy: what leaves a rank is sealed, and who opens it holds the key.
#pragma once

#include "collectives/verify/faults.hpp"
#include "collectives/verify/wiring.hpp"

namespace lockstep::schedule {

/// Every rank boundary is a trust boundary. Faults: plaintext on a channel or in exposed memory; a
/// message sealed by who does not own the key, opened by who does not hold it or expects another
/// seal than it carries; a forward that changes the seal, or of a message that is for one reader
/// only; indices of a key that repeat or leave a gap. Needs a complete wiring.
void checkSealing(const Schedule& schedule, const Wiring& wiring, Faults& faults);

}  // namespace lockstep::schedule
