#include <cmath>

#include "topology/readers/hwloc/read.hpp"

namespace lockstep::topology {
namespace {

struct Generation {
  double gigatransfers;
  double code;  // bits of data per bit sent, as hwloc counts it (hwloc_pcidisc_find_linkspeed)
};
constexpr Generation kGenerations[] = {{2.5, 0.8},        {5, 0.8},          {8, 128.0 / 130},
                                       {16, 128.0 / 130}, {32, 128.0 / 130}, {64, 128.0 / 130},
                                       {128, 128.0 / 130}};
/// hwloc writes six decimals. Gen1 x16 and Gen3 x4 are 1.5 % apart.
constexpr double kTolerance = 0.001;

}  // namespace

PcieLink widestLinkOf(double gigabytesPerSecond) {
  for (const int width : {16, 8, 4, 2, 1})
    for (const Generation& generation : kGenerations) {
      const double has = generation.gigatransfers * generation.code * width / 8;
      if (std::abs(gigabytesPerSecond - has) < kTolerance * has)
        return {TransferRate::gigatransfers(generation.gigatransfers), width};
    }
  return {};
}

}  // namespace lockstep::topology
