// Any bytes as a tuning file: a table that answers every question, or an Error that names the
// source.
#pragma once

#include <cstdlib>
#include <string>
#include <string_view>

#include "communicator/tuning.hpp"
#include <lockstep/error.hpp>

namespace lockstep::fuzz {

inline void tuningFile(std::string_view text) {
  try {
    const TuningTable table = TuningTable::parse(text, "fuzz", "this machine");
    for (const std::size_t bytes : {std::size_t{0}, std::size_t{4096}, std::size_t{1} << 40})
      for (const Mode mode : {Mode::p2p, Mode::cc}) {
        const Situation situation{.collective = Collective::allReduce,
                                  .mode = mode,
                                  .worldSize = 4,
                                  .bytes = bytes,
                                  .direct = false,
                                  .zeroCopy = false};
        const Choice choice = table.select(situation, {}, {});
        const bool possible = choice.algorithm != nullptr && choice.depth >= 1 &&
                              choice.depth <= 8 && choice.protocol != HostProtocol::zeroCopy;
        if (!possible) std::abort();
        const std::string why = table.why(situation, {}, {});
        if (why.empty()) std::abort();
      }
  } catch (const Error& error) {
    if (std::string_view(error.what()).find("fuzz") == std::string_view::npos) std::abort();
  }
}

}  // namespace lockstep::fuzz
