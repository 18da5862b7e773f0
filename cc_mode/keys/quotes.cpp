#include "cc_mode/keys/quotes.hpp"

#include <exception>
#include <optional>
#include <string>

#include "base/printable.hpp"
#include "cc_mode/keys/refuse.hpp"

namespace lockstep::cc {
namespace {

/// Why a function of the caller's did not return, safe to show. Nothing if it did.
template <class Call>
std::optional<std::string> complaintOf(Call call) {
  try {
    call();
    return std::nullopt;
  } catch (const std::exception& error) {
    const std::string text = printable(error.what());
    return text.empty() ? "an exception without a text" : text;
  } catch (...) {
    return "an exception that is no std::exception";
  }
}

}  // namespace

std::array<std::byte, Attestation::kBindingBytes> bindingOf(const Hash& transcript, int rank) {
  const Bytes label = bytesOf("lockstep attestation 1");
  std::vector<std::byte> said;
  said.reserve(label.size() + transcript.size() + 2);
  said.insert(said.end(), label.begin(), label.end());
  said.insert(said.end(), transcript.begin(), transcript.end());
  said.push_back(static_cast<std::byte>(rank >> 8));
  said.push_back(static_cast<std::byte>(rank));
  return sha512(said);
}

std::vector<std::byte> makeQuote(const Attestation& attestation, const Hash& transcript, int rank) {
  const auto binding = bindingOf(transcript, rank);
  std::vector<std::byte> quote;
  if (const auto complaint = complaintOf([&] { quote = attestation.quote(binding); }))
    refuse(rank, "this rank has no quote to show (Attestation::quote): {}", *complaint);
  if (quote.empty() || quote.size() > Attestation::kMaxQuoteBytes)
    refuse(rank, "this rank's quote (Attestation::quote) has {} bytes; it takes 1 to {}",
           quote.size(), Attestation::kMaxQuoteBytes);
  return quote;
}

void verifyQuote(const Attestation& attestation, const Hash& transcript, int rank, Bytes quote) {
  if (quote.empty() || quote.size() > Attestation::kMaxQuoteBytes)
    refuse(rank, "rank {} sent a quote of {} bytes; it takes 1 to {}: it was damaged or forged",
           rank, quote.size(), Attestation::kMaxQuoteBytes);
  const auto binding = bindingOf(transcript, rank);
  if (const auto complaint = complaintOf([&] { attestation.verify(rank, quote, binding); }))
    refuse(rank, "rank {}'s quote does not hold (Attestation::verify): {}", rank, *complaint);
}

}  // namespace lockstep::cc
