// hwloc's XML: `lstopo machine.xml`.
#include "topology/readers/hwloc/read.hpp"
#include "topology/readers/reader.hpp"

namespace lockstep::topology {
namespace {

Reading read(std::string_view text, const std::string& source) {
  return readHwlocXml(text, source, LinkGuess::widest);
}

}  // namespace

extern const Reader kReadersHwlocXml = {"hwloc XML", isHwlocXml, read};

}  // namespace lockstep::topology
