#include "communicator/agreement.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <string>
#include <vector>

#include <sched.h>
#include <sys/random.h>

#include "base/fail.hpp"
#include "base/printable.hpp"
#include "cc_mode/keys/handshake.hpp"
#include "topology/machine.hpp"
#include "transport/cma/cma.hpp"

namespace lockstep::agreement {

namespace {

std::span<const std::byte> bytesOf(const std::string& text) {
  return std::as_bytes(std::span(text));
}

std::string textOf(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string_view keySourceOf(const Options& o) {
  if (o.attestation != nullptr) return o.psk.empty() ? "attested" : "pre-shared and attested";
  if (!o.psk.empty()) return "pre-shared";
  return o.insecureKeys ? "insecure" : "none";
}

/// One thing per line, "name: value", so that a difference can be named.
std::string describe(const Options& o, const TuningTable& tuning, const cc::Aead* aead) {
  return fmt::format(
      "version: {}\nmode: {}\ntimeout: {} ms\nalgorithm: {}\nprotocol: {}\ncipher: {}\nkeys: {}\n"
      "cross-memory attach: {}\nreproducible: {}\nrekey bytes: {}\ntuning table: {:x}\n",
      version(), name(o.mode), o.timeout.count(), o.algorithm, o.protocol,
      aead == nullptr ? "none" : aead->name(), keySourceOf(o), o.crossMemoryAttach, o.reproducible,
      o.rekeyBytes, std::hash<std::string>{}(tuning.text()));
}

std::string lineAt(const std::string& text, std::size_t at) {
  const std::size_t begin =
      text.rfind('\n', at) == std::string::npos ? 0 : text.rfind('\n', at) + 1;
  return text.substr(begin, std::min(text.find('\n', begin), text.size()) - begin);
}

/// How long a rank that has the reason stays for those who are still reading it.
constexpr auto kLinger = std::chrono::milliseconds(200);

/// Before a rank throws what every rank should see: takes part in one more exchange, so that the
/// others have got what was said before this one is gone, and the meeting point perhaps with it. It
/// was sent to all of them already, so a moment is enough; and some may have found nothing wrong,
/// and never come.
void linger(Peers& peers) {
  try {
    peers.allGather({}, Deadline::in(kLinger));
  } catch (const Error&) {
    // Whoever is gone already does not matter any more.
  }
}

}  // namespace

void compare(Peers& peers, const Options& options, const TuningTable& tuning, const cc::Aead* aead,
             Deadline deadline) {
  const std::string mine = describe(options, tuning, aead);
  const auto all = peers.allGather(bytesOf(mine), deadline);
  for (std::size_t r = 0; r < all.size(); ++r) {
    const std::string theirs = textOf(all[r]);
    if (theirs == mine) continue;
    const auto [here, there] =
        std::mismatch(mine.begin(), mine.end(), theirs.begin(), theirs.end());
    const auto at = static_cast<std::size_t>(here - mine.begin());
    linger(peers);  // every rank differs from some other, so all come here
    fail(ErrorCode::mismatch,
         "the ranks were created differently: rank {} has '{}', rank {} has '{}'", peers.rank(),
         lineAt(mine, at == 0 ? 0 : at - 1), r, printable(lineAt(theirs, at == 0 ? 0 : at - 1)));
  }
}

bool crossMemoryAttach(Peers& peers, const Options& options, Deadline deadline) {
  if (peers.sameProcess()) return false;  // plain loads do
  // A word that every other rank tries to read; what they find must be the number announced.
  std::uint64_t probe = 0;
  if (::getrandom(&probe, sizeof probe, 0) != sizeof probe) failErrno("no random numbers");
  const bool wanted = options.crossMemoryAttach && !isSealed(options.mode);
  std::array<std::uint64_t, 2> mine{};  // who does not want to be read does not say where it is
  if (wanted) mine = {reinterpret_cast<std::uintptr_t>(&probe), probe};
  const auto all = peers.allGather(std::as_bytes(std::span(mine)), deadline);
  std::byte ok{wanted};
  for (int r = 0; r < peers.worldSize() && ok != std::byte{0}; ++r) {
    if (r == peers.rank()) continue;
    std::array<std::uint64_t, 2> theirs{};
    const auto& message = all[static_cast<std::size_t>(r)];
    if (message.size() == sizeof theirs) std::memcpy(theirs.data(), message.data(), sizeof theirs);
    std::uint64_t found = 0;
    if (!cma::mayRead(peers.pidOf(r), theirs[0], &found, sizeof found) || found != theirs[1])
      ok = std::byte{0};
  }
  // Nobody returns, and so nobody's probe goes away, before all have read.
  const auto verdicts = peers.allGather(std::span(&ok, 1), deadline);
  return std::all_of(verdicts.begin(), verdicts.end(),
                     [](const auto& v) { return v.size() == 1 && v[0] == std::byte{1}; });
}

bool ranksOutnumberCores(Peers& peers, Deadline deadline) {
  cpu_set_t mine;
  CPU_ZERO(&mine);
  if (::sched_getaffinity(0, sizeof mine, &mine) != 0) CPU_SET(0, &mine);
  const auto all = peers.allGather(std::as_bytes(std::span(&mine, 1)), deadline);
  std::vector<cpu_set_t> masks(all.size());
  for (std::size_t r = 0; r < all.size(); ++r) {
    if (all[r].size() != sizeof mine)
      fail(ErrorCode::bootstrap, "rank {} sent a malformed affinity mask", r);
    std::memcpy(&masks[r], all[r].data(), sizeof mine);
  }
  // Each rank's cores, and those of all ranks together, must not have more ranks confined to them
  // than cores.
  cpu_set_t together;
  CPU_ZERO(&together);
  for (const cpu_set_t& mask : masks) CPU_OR(&together, &together, &mask);
  masks.push_back(together);
  const auto confined = [&](const cpu_set_t& cores) {
    return std::count_if(masks.begin(), masks.end() - 1, [&](const cpu_set_t& mask) {
      cpu_set_t common;
      CPU_AND(&common, &mask, &cores);
      return CPU_EQUAL(&common, &mask);
    });
  };
  return std::any_of(masks.begin(), masks.end(),
                     [&](const cpu_set_t& cores) { return confined(cores) > CPU_COUNT(&cores); });
}

cc::KeyRing keys(Transcript& peers, const Options& options, std::shared_ptr<const cc::Aead> aead,
                 cc::Lineage& lineage, Deadline deadline) {
  // The communicator's id: rank 0 draws it. It is bound into every key, so a lie about it only
  // fails.
  std::array<std::byte, 16> id{};
  if (::getrandom(id.data(), id.size(), 0) != static_cast<ssize_t>(id.size()))
    failErrno("no random numbers");
  const auto ids = peers.allGather(id, deadline);
  if (ids[0].size() != id.size())
    fail(ErrorCode::keyExchange, "rank 0 sent a malformed communicator id");
  std::copy(ids[0].begin(), ids[0].end(), id.begin());
  const cc::HandshakeParameters parameters{.rank = peers.rank(),
                                           .worldSize = peers.worldSize(),
                                           .mode = options.mode,
                                           .communicatorId = id,
                                           .agreed = peers.digest(),
                                           .psk = options.psk,
                                           .attestation = options.attestation.get(),
                                           .insecure = options.insecureKeys};
  try {
    return cc::handshake(
        parameters, std::move(aead),
        [&](std::span<const std::byte> message) { return peers.allGather(message, deadline); },
        &lineage);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::keyExchange) linger(peers);
    throw;
  }
}

std::size_t streamingBytes(int worldSize) {
  // in and out of P ranks, P parts each: a part of b bytes stands for 2 P^2 b bytes in the cache.
  const auto world = static_cast<std::size_t>(worldSize);
  // What hwloc calls the last-level cache may serve a hundred cores of which we have two: count on
  // no more than a Zen's, 32 MiB (bench/floors agrees on machines of 32 and of 480 MiB).
  const std::size_t cache = std::clamp<std::size_t>(topology::thisMachine().l3Bytes,
                                                    std::size_t{8} << 20, std::size_t{32} << 20);
  return cache / (2 * world * world);
}

}  // namespace lockstep::agreement
