// What is measured: the collectives, and what is made of sends and receives.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include <lockstep/types.hpp>

namespace lockstep::bench {

/// The collectives have their own numbers.
enum class Operation : std::uint8_t {
  allReduce,
  barrier,
  allGather,
  reduceScatter,
  allToAll,
  broadcast,
  reduce,
  gather,
  scatter,
  sendRecv,   ///< every rank sends to the next one and receives from the one before
  allToAllV,  ///< an all-to-all, here of equal parts, out of transfers
};
inline constexpr std::size_t kOperations = 11;
static_assert(static_cast<std::size_t>(Operation::sendRecv) == kCollectives);

constexpr Operation operationOf(Collective collective) {
  return static_cast<Operation>(collective);
}
constexpr std::optional<Collective> collectiveOf(Operation op) {
  if (static_cast<std::size_t>(op) >= kCollectives) return std::nullopt;
  return static_cast<Collective>(op);
}

namespace detail {
inline constexpr Contract kSendRecv{};
}

/// The same promise in the same words: all-to-all-v is all-to-all; a ring of sends has one block
/// everywhere.
constexpr const Contract& contractOf(Operation op) {
  if (op == Operation::sendRecv) return detail::kSendRecv;
  return lockstep::contractOf(collectiveOf(op).value_or(Collective::allToAll));
}

constexpr std::string_view name(Operation op) {
  if (const auto collective = collectiveOf(op)) return lockstep::name(*collective);
  return op == Operation::sendRecv ? "sendrecv" : "alltoallv";
}

constexpr std::optional<Operation> parseOperation(std::string_view text) {
  for (std::size_t i = 0; i < kOperations; ++i)
    if (name(static_cast<Operation>(i)) == text) return static_cast<Operation>(i);
  return std::nullopt;
}

}  // namespace lockstep::bench
