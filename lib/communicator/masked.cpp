#include "communicator/masked.hpp"

#include <algorithm>

#include "base/fail.hpp"
#include "cc_mode/masked/fixed_point.hpp"
#include "communicator/communicator_impl.hpp"

namespace lockstep {

using Kind = MaskedCall::Step::Kind;

namespace {

void reserve(Mapping& memory, std::size_t bytes) {
  if (memory.size() >= bytes) return;
  memory.reset();  // not both at once
  memory = Mapping::anonymous(bytes);
}

}  // namespace

MaskedCall::Step MaskedCall::begin(const cc::MaskedSum::Call& call, const void* in, void* out) {
  in_ = static_cast<const std::byte*>(in);
  out_ = static_cast<std::byte*>(out);
  sum_.begin(call);
  const std::size_t most = std::min(sum_.chunks(), kChunksAtOnce);
  reserve(words_, sum_.wordsOf(0, most) * sizeof(std::uint64_t));
  exponents_ = {};
  if (!cc::isFixedPoint(call.type)) return carry(0);
  reserve(exponentMemory_, sum_.chunks() * sizeof(std::int32_t));
  exponents_ = {reinterpret_cast<std::int32_t*>(exponentMemory_.data()), sum_.chunks()};
  sum_.measure(in_, exponents_);
  return take({Kind::agree, exponents_.data(), exponents_.size()});
}

MaskedCall::Step MaskedCall::next() {
  if (kind_ == Kind::agree)
    return std::ranges::find(exponents_, cc::kNotFinite) == exponents_.end() ? carry(0)
                                                                             : take({Kind::sealed});
  if (!sum_.unmask(first_, chunks_, exponents_, reinterpret_cast<std::uint64_t*>(words_.data()),
                   out_))
    return take({Kind::forged});
  return carry(first_ + chunks_);
}

MaskedCall::Step MaskedCall::carry(std::size_t first) {
  first_ = first;
  chunks_ = std::min(sum_.chunks() - first, kChunksAtOnce);
  if (chunks_ == 0) return take({});
  auto* words = reinterpret_cast<std::uint64_t*>(words_.data());
  sum_.mask(first_, chunks_, exponents_, in_, words);
  return take({Kind::carry, words, sum_.wordsOf(first_, chunks_)});
}

std::size_t MaskedCall::wordsAtFirst(DataType type, std::size_t count) {
  const std::size_t words = count * cc::wordsPerElement(type);
  return words < kChunksAtOnce * cc::kChunkWords
             ? words + (words + cc::kChunkWords - 1) / cc::kChunkWords * cc::kTagWords
             : kChunksAtOnce * cc::kTaggedWords;
}

// ---- the communicator's part ----

bool CommunicatorImpl::masks(const Request& request) const {
  return options_.mode == Mode::ccMasked && worldSize() > 1 &&
         request.collective == Collective::allReduce && request.count != 0 &&
         cc::isMaskable(request.type, request.reduction) &&
         !(options_.reproducible && cc::isFixedPoint(request.type));
}

/// For Plan::reason.
std::string CommunicatorImpl::whySealed(const Request& request) const {
  if (worldSize() == 1) return "; nothing to mask: one rank";
  if (request.count == 0) return "; nothing to mask: no elements";
  if (!cc::isMaskable(request.type, request.reduction))
    return fmt::format("; sealed: {} of {} cannot be masked", name(request.reduction),
                       name(request.type));
  return "; sealed: reproducible floats are added up in the order of ranks";
}

/// What adds up words: anybody, so nothing is sealed. Rings and one-shots alike, since their order
/// does not matter.
Situation CommunicatorImpl::carrier(std::size_t words) const {
  return {.collective = Collective::allReduce,
          .mode = Mode::multicast,
          .worldSize = worldSize(),
          .bytes = words * sizeof(std::uint64_t),
          .direct = false,
          .zeroCopy = false,
          .reproducible = false,
          .type = DataType::u64};
}

const host::Plan* CommunicatorImpl::planOfCarrier(std::size_t words) {
  const Shape shape{.collective = Collective::allReduce,
                    .type = DataType::u64,
                    .reduction = Reduction::sum,
                    .inPlace = true,
                    .bytes = words * sizeof(std::uint64_t)};
  if (carriedLast_.plan == nullptr || carriedLast_.words != words)
    carriedLast_ = {
        words, planOf(tuning_.select(carrier(words), options_.algorithm, options_.protocol), shape,
                      Mode::multicast)};
  return carriedLast_.plan;
}

/// The keystream that goes on and comes off: it is what AES has to do.
void CommunicatorImpl::countPads(std::size_t words) {
  const auto on = static_cast<std::uint64_t>(masked_->padsPerWord());
  Counters& counters = run_.counters();
  counters.sealed += on * words * sizeof(std::uint64_t);
  counters.opened += words * sizeof(std::uint64_t);
  counters.records += (on + 1) * cc::piecesOf(words);
}

void CommunicatorImpl::beginMasked(const Request& request, const void* in, void* out,
                                   const host::Plan* sealedInstead) {
  sealedInstead_ = sealedInstead;
  launchMasked(masked_->begin({.type = request.type,
                               .reduction = request.reduction,
                               .count = request.count,
                               .what = call_.fingerprint >> 1},  // the lowest bit is always 0
                              in, out));
}

/// False: nothing of the call is left to run.
bool CommunicatorImpl::launchMasked(const MaskedCall::Step& step) {
  if (step.kind == Kind::done) return false;
  if (step.kind == Kind::forged) {
    const std::string operation = shm::toString(call_.what);
    throw Error(
        ErrorCode::integrity, -1, operation,
        fmt::format("{}: a masked sum did not verify on rank {}: shared memory was tampered "
                    "with or is faulty, or this call or an earlier one differed between "
                    "ranks (count, type?). Nothing of that sum was released",
                    operation, rank()));
  }
  attempt_ = Attempt::only;
  if (step.kind == Kind::sealed) {
    run_.begin(*sealedInstead_, call_, false);
    return true;
  }
  if (step.kind == Kind::carry) countPads(step.count);
  part_ = call_;
  part_.in = part_.out = step.data;
  part_.count = step.count;
  const bool agrees = step.kind == Kind::agree;
  run_.begin(agrees ? *remember({.collective = Collective::allReduce,
                                 .type = DataType::i32,
                                 .reduction = Reduction::max,
                                 .inPlace = true,
                                 .bytes = step.count * sizeof(std::int32_t)})
                           .plans.direct
                    : *planOfCarrier(step.count),
             part_, false);
  return true;
}

}  // namespace lockstep
