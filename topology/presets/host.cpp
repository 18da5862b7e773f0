// Two sockets and nothing else: where ranks are processes of one host. Which CPU it is decides the
// bandwidth between them; the Xeon of a DGX H100 is taken.
#include "topology/presets/parts/builder.hpp"
#include "topology/presets/preset.hpp"

namespace lockstep::topology {
namespace {

Inventory make() {
  MachineBuilder builder("host");
  builder.addCpus(models::kXeon8480C, 2);
  return builder.take();
}

}  // namespace

extern const Preset kPresetsHost{"host", "2 Xeon 8480C, no GPU, no NIC", make};

}  // namespace lockstep::topology
