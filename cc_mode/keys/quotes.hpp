// Quotes in the key exchange: what they are bound to, and what becomes of a rank whose quote does
// not hold.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "cc_mode/keys/hkdf.hpp"
#include <lockstep/attestation.hpp>

namespace lockstep::cc {

/// What the quote of `rank` is bound to, in the exchange that `transcript` is of:
///
///     SHA-512("lockstep attestation 1" | transcript | rank)
///
/// The transcript has all ranks' fresh ephemerals, so whoever makes a quote over it has one of
/// them, and it can be shown in no other exchange.
std::array<std::byte, Attestation::kBindingBytes> bindingOf(const Hash& transcript, int rank);

/// This rank's quote. Throws keyExchange, blaming this rank, if the caller's function throws or
/// gives too little or too much.
std::vector<std::byte> makeQuote(const Attestation& attestation, const Hash& transcript, int rank);

/// Throws keyExchange, blaming `rank`, if what it sent is no quote, or the caller's function
/// refuses it.
void verifyQuote(const Attestation& attestation, const Hash& transcript, int rank, Bytes quote);

}  // namespace lockstep::cc
