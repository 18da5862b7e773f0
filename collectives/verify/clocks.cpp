#include "collectives/verify/clocks.hpp"

#include <algorithm>
#include <utility>

namespace lockstep::schedule {

Clocks::Clocks(const Wiring& wiring, const EventGraph& graph)
    : wiring_(wiring),
      graph_(graph),
      chains_(std::size_t{wiring.chains} * graph.extent().depth + graph.world()),
      pending_(graph.size()) {}

Stamp Clocks::visit(std::uint32_t event) {
  at_ = event;
  now_ = std::move(pending_[event]);
  now_.resize(chains_, 0);
  const Event e = graph_.event(event);
  if (e.kind == Event::Kind::done) return {};  // touches nothing, so no one asks when it was
  const std::uint32_t chain = chainOf(e);
  return {.chain = chain, .time = ++now_[chain], .event = event};
}

std::uint32_t Clocks::chainOf(const Event& event) const {
  const std::uint32_t depth = graph_.extent().depth;
  if (event.kind == Event::Kind::boundary)
    return wiring_.chains * depth + static_cast<std::uint32_t>(event.rank);
  return wiring_.sites[event.site].chain * depth + event.tile % depth;
}

void Clocks::leave() {
  for (const std::uint32_t event : graph_.after(at_)) {
    Clock& theirs = pending_[event];
    theirs.resize(chains_, 0);
    std::transform(now_.begin(), now_.end(), theirs.begin(), theirs.begin(),
                   [](std::uint32_t a, std::uint32_t b) { return std::max(a, b); });
  }
}

}  // namespace lockstep::schedule
