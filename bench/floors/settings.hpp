// What floors is told.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::floors {

/// What --which takes besides "all" and "cc", by how many ranks measure it.
inline const std::vector<std::string> kPartsOfOne{"aead", "masked", "handshake"};
inline const std::vector<std::string> kPartsOfTwo{"primitives", "registered", "ordinary",
                                                  "sealed",     "small",      "broadcast",
                                                  "allgather",  "alltoall",   "reducescatter"};
inline const std::vector<std::string> kPartsOfTeam{"sealed4"};
/// The parts of "cc": what encryption costs.
inline const std::vector<std::string> kPartsOfCc{"aead",   "masked",  "handshake",
                                                 "sealed", "sealed4", "small"};

struct Settings {
  std::string begin = "8", end = "64M", json, algorithm, protocol;
  std::vector<std::string> which{"all"};
  std::size_t factor = 2;
  int samples = 15;
  bool alone = false;
  std::vector<std::size_t> sizes;

  bool wants(std::string_view part) const {
    return std::ranges::any_of(which, [&](const std::string& w) {
      return w == "all" || w == part || (w == "cc" && std::ranges::count(kPartsOfCc, part) > 0);
    });
  }
  bool wantsAny(const std::vector<std::string>& parts) const {
    return std::ranges::any_of(parts, [&](const std::string& part) { return wants(part); });
  }
  std::size_t maxBytes() const { return sizes.back(); }
};

}  // namespace lockstep::floors
