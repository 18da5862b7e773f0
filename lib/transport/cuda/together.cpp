#include "transport/cuda/together.hpp"

#include <algorithm>
#include <exception>
#include <span>
#include <string_view>
#include <utility>

#include "base/fail.hpp"
#include "base/printable.hpp"

namespace lockstep::cuda {

namespace {

using Bytes = std::vector<std::byte>;

/// What a rank says begins with one of these.
enum class Word : std::uint8_t { done, refused, unreachable };

/// Characters of a text that are told.
constexpr std::size_t kMostText = 600;

/// word, code, text
Bytes refuse(Word word, ErrorCode code, std::string_view text) {
  const auto told = std::as_bytes(std::span(text.substr(0, kMostText)));
  Bytes message(2 + told.size());
  message[0] = std::byte(word);
  message[1] = std::byte(code);
  std::copy(told.begin(), told.end(), message.begin() + 2);
  return message;
}

Bytes answer(const std::function<Bytes()>& part) {
  try {
    Bytes said = part();
    said.insert(said.begin(), std::byte(Word::done));
    return said;
  } catch (const PeersUnreachable& e) {
    return refuse(Word::unreachable, e.code(), e.what());
  } catch (const Error& e) {
    return refuse(Word::refused, e.code(), e.what());
  } catch (const std::exception& e) {
    return refuse(Word::refused, ErrorCode::system, e.what());
  }
}

bool isDone(const Bytes& message) {
  return !message.empty() && message[0] == std::byte(Word::done);
}

Refusal refusalOf(int rank, const Bytes& message) {
  if (message.size() < 2 || message[1] > std::byte(ErrorCode::internal)) return malformed(rank);
  const std::string_view text(reinterpret_cast<const char*>(message.data()), message.size());
  return {rank, static_cast<ErrorCode>(message[1]), message[0] == std::byte(Word::unreachable),
          fmt::format("rank {}: {}", rank, printable(text.substr(2), kMostText))};
}

}  // namespace

Refusal malformed(int rank) {
  return {rank, ErrorCode::bootstrap, false,
          fmt::format("rank {} answered in another way; do all ranks run the same version of "
                      "Lockstep?",
                      rank)};
}

void Refusal::raise() const {
  if (unreachable) throw PeersUnreachable(rank, text);
  throw Error(code, rank, {}, text);
}

Outcome attempt(Peers& peers, Deadline deadline, const std::function<Bytes()>& part) {
  Outcome outcome{{}, peers.allGather(answer(part), deadline)};
  const auto first = std::find_if_not(outcome.said.begin(), outcome.said.end(), isDone);
  if (first != outcome.said.end()) {
    outcome.refusal = refusalOf(static_cast<int>(first - outcome.said.begin()), *first);
    return outcome;
  }
  for (Bytes& said : outcome.said) said.erase(said.begin());
  return outcome;
}

std::optional<Refusal> together(Peers& peers, Deadline deadline,
                                const std::function<void()>& part) {
  const auto quietly = [&] {
    part();
    return Bytes();
  };
  return attempt(peers, deadline, quietly).refusal;
}

void raiseTogether(Peers& peers, Deadline deadline, const Refusal& refusal) {
  try {
    peers.allGather({}, deadline);
  } catch (const Error&) {
    // Whoever is gone by now has heard it.
  }
  refusal.raise();
}

}  // namespace lockstep::cuda
