// Attestation: what runs as a rank is proven by its hardware, instead of by a key it was given.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include <lockstep/types.hpp>

namespace lockstep {

/// How the ranks of a sealed communicator prove to each other what they run (Options::attestation).
/// While keys are exchanged, every rank makes one quote, and every rank verifies those of all
/// others before it uses any key. Children (split, duplicate, shrink) do so again.
///
///     options.attestation = std::make_shared<const Attestation>(
///         Attestation{.quote = tsmQuote, .verify = checkWithTheMakersLibrary});
///
/// What is proven is what a rank runs and where, not whose it is: whoever may run the same on his
/// own machine is accepted too, unless `verify` looks at more, or there is a pre-shared key as
/// well.
///
/// Both functions are called by the thread that creates, or splits; createInProcess calls them from
/// one thread per rank, at the same time. Time in them counts for Options::timeout.
struct Attestation {
  /// The report data of Intel TDX (REPORTDATA), AMD SEV-SNP (REPORT_DATA) and Linux (inblob of
  /// configfs-tsm) have this size.
  static constexpr std::size_t kBindingBytes = 64;
  static constexpr std::size_t kMaxQuoteBytes = std::size_t{256} << 10;

  /// This rank's quote: 1 to kMaxQuoteBytes bytes that only what runs here can make, and that
  /// contain `binding` under the hardware's signature. `binding` (kBindingBytes) is a hash of this
  /// rank's number and of all that the ranks have said, fresh keys included, so it is never the
  /// same twice. tsmQuote is such a function. What it throws fails the creation.
  std::function<std::vector<std::byte>(std::span<const std::byte> binding)> quote;

  /// Returns if `quote` is rank `rank`'s, and throws anything if not: its text is in the error
  /// (keyExchange, naming the rank). It must check, in this order or another:
  ///   - the signature, up to a root that it knows, and that nothing on the way is revoked;
  ///   - that the report data are `binding`, all of it: else the quote is of another rank or an
  ///     earlier session, shown once more;
  ///   - the measurements, and that the machine is no debug one.
  /// `quote` has 1 to kMaxQuoteBytes bytes that anybody may have written. A function that accepts
  /// everything authenticates nobody, and nothing can tell.
  std::function<void(int rank, std::span<const std::byte> quote,
                     std::span<const std::byte> binding)>
      verify;
};

/// The quote of this virtual machine from Linux' configfs-tsm (6.7 or newer): `binding` goes to
/// inblob, outblob is returned, in the format that the machine's provider has ("tdx_guest": a
/// quote of Intel's DCAP; "sev_guest": an ATTESTATION_REPORT). Needs the right to make a folder in
/// /sys/kernel/config/tsm/report, root's as a rule. Throws invalidArgument (no or more than
/// kBindingBytes bytes), unsupported (no such interface, or no provider), system.
///
/// Not tried on such a machine by this project. The quotes are verified by Attestation::verify,
/// with the maker's tools: Lockstep does not know what you trust.
LOCKSTEP_API std::vector<std::byte> tsmQuote(std::span<const std::byte> binding);

}  // namespace lockstep
