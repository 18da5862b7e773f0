// Attestation in software: a machine whose security module is a key that all tests know.
#pragma once

#include <algorithm>
#include <span>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "cc_mode/keys/hkdf.hpp"
#include <lockstep/attestation.hpp>

namespace lockstep::testing {

/// measurement | binding | HMAC of both under the machine's key
inline constexpr std::size_t kQuoteBytes = 32 + Attestation::kBindingBytes + 32;

inline cc::Hash machineSignature(std::span<const std::byte> report) {
  return cc::hmacSha256(cc::bytesOf("the key of every machine that is trusted"), report);
}

/// Of a machine that runs `image`.
inline std::vector<std::byte> softwareQuote(std::string_view image,
                                            std::span<const std::byte> binding) {
  const cc::Hash measurement = cc::sha256(cc::bytesOf(image));
  std::vector<std::byte> quote;
  quote.reserve(kQuoteBytes);
  quote.insert(quote.end(), measurement.begin(), measurement.end());
  quote.insert(quote.end(), binding.begin(), binding.end());
  const cc::Hash signature = machineSignature(quote);
  quote.insert(quote.end(), signature.begin(), signature.end());
  return quote;
}

/// An honest verifier, which expects `image`. Throws std::runtime_error.
inline void verifySoftwareQuote(std::string_view image, std::span<const std::byte> quote,
                                std::span<const std::byte> binding) {
  if (quote.size() != kQuoteBytes) throw std::runtime_error("this is no quote");
  const auto report = quote.first(kQuoteBytes - cc::kHashBytes);
  if (!std::ranges::equal(machineSignature(report), quote.last(cc::kHashBytes)))
    throw std::runtime_error("no machine that is trusted has signed it");
  if (!std::ranges::equal(report.last(Attestation::kBindingBytes), binding))
    throw std::runtime_error("it is bound to something else");
  if (!std::ranges::equal(report.first(cc::kHashBytes), cc::sha256(cc::bytesOf(image))))
    throw std::runtime_error("another image runs there");
}

inline constexpr std::string_view kImage = "what all ranks should run";

/// A rank that runs `image`, and expects kImage of the others.
inline Attestation softwareAttestation(std::string_view image = kImage) {
  return {
      .quote = [image](auto binding) { return softwareQuote(image, binding); },
      .verify = [](int, auto quote, auto binding) { verifySoftwareQuote(kImage, quote, binding); }};
}

}  // namespace lockstep::testing
