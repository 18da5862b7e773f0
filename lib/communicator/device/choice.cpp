#include "communicator/device/choice.hpp"

#include <fmt/format.h>

#include "base/fail.hpp"

namespace lockstep::gpu {
namespace {

using cuda::Protocol;
using schedule::Edges;

/// Up to here a flag beside the data saves the wait for one after it, although every 8 bytes of
/// data take 16 (NCCL's LL has about the same limit; FACTS: base latencies LL 6.6, Simple 8.4 us).
constexpr std::size_t kLinesUpTo = std::size_t{32} << 10;
/// From here on reading in place beats slots: it moves less, but meets twice.
constexpr std::size_t kInPlaceFrom = std::size_t{64} << 10;

/// What is run where nothing else is asked for: least steps while latency counts, least bytes then.
std::string_view usualAlgorithm(const Situation& s, Protocol protocol) {
  if (s.collective != Collective::allReduce) return "direct";
  return protocol == Protocol::ll ? "one_shot" : "two_shot";
}

/// The name as `--protocol` has it.
enum class Forced { no, simple, ll, inPlace };
Forced forcedProtocol(const Options& options) {
  if (options.protocol.empty()) return Forced::no;
  if (options.protocol == "simple") return Forced::simple;
  if (options.protocol == "ll") return Forced::ll;
  if (options.protocol == "zero_copy") return Forced::inPlace;
  fail(ErrorCode::invalidArgument, "no protocol is called {}; GPUs have simple, ll, zero_copy",
       options.protocol);
}

}  // namespace

Choice choose(const Situation& s, const Options& options) {
  const bool sealed = isSealed(options.mode);
  const Forced forced = forcedProtocol(options);
  if (sealed && (forced == Forced::ll || forced == Forced::inPlace))
    fail(ErrorCode::invalidArgument, "protocol {} is not for sealed modes on GPUs; use simple",
         options.protocol);
  Choice choice;
  if (forced == Forced::inPlace && s.premultiplied)
    fail(ErrorCode::invalidArgument,
         "zero_copy reads what callers gave; a premultiplied sum adds products, which lie "
         "elsewhere");
  bool inPlace = forced == Forced::inPlace || (forced == Forced::no && s.registered && !sealed &&
                                               !s.premultiplied && s.bytes >= kInPlaceFrom);
  if (forced == Forced::inPlace && !s.registered)
    fail(ErrorCode::invalidArgument,
         "zero_copy needs buffers of DeviceCommunicator::alloc on every rank");
  if (forced == Forced::ll ||
      (forced == Forced::no && !sealed && !inPlace && s.bytes <= kLinesUpTo))
    choice.protocol = Protocol::ll;
  const std::string_view usual = usualAlgorithm(s, choice.protocol);
  std::string_view wanted = options.algorithm.empty() ? usual : options.algorithm;
  const auto find = [&](std::string_view name) {
    return schedule::findAlgorithm(s.collective, name, inPlace ? Edges::exposure : Edges::channels);
  };
  choice.algorithm = find(wanted);
  if (choice.algorithm == nullptr && inPlace && forced == Forced::no) {
    inPlace = false;  // it has none that reads in place
    choice.algorithm = find(wanted);
  }
  if (choice.algorithm == nullptr && wanted != usual)  // a name that other collectives have
    choice.algorithm = find(usual);
  if (choice.algorithm == nullptr)
    fail(ErrorCode::invalidArgument, "{} has no algorithm for protocol {}", name(s.collective),
         options.protocol);
  if (options.reproducible && contractOf(s.collective).reduces && !choice.algorithm->rankOrder) {
    if (!options.algorithm.empty())
      fail(ErrorCode::invalidArgument,
           "{} does not reduce in the order of ranks; reproducible "
           "results need one that does",
           choice.algorithm->name);
    choice.algorithm = find(usual);
  }
  choice.reason = !options.algorithm.empty() && choice.algorithm->name == options.algorithm
                      ? fmt::format("algorithm {} forced", options.algorithm)
                      : "built-in rule for GPUs";
  return choice;
}

}  // namespace lockstep::gpu
