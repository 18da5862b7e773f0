// The output of `nvidia-smi topo -m`, in a file.
#include "topology/readers/reader.hpp"
#include "topology/readers/smi/matrix_tree.hpp"

namespace lockstep::topology {
namespace {

Reading readMatrix(std::string_view text, const std::string& source) {
  xml::Report report(text, source);
  const smi::Matrix matrix = smi::parseMatrix(text, report);
  report.remark(xml::Report::kWhole,
                "bus ids are not in this text: those of domain {:x} are made up",
                smi::kMadeUpDomain);
  Reading reading{.inventory = smi::inventoryOf(matrix, report), .remarks = {}};
  reading.remarks = report.take();
  return reading;
}

}  // namespace

extern const Reader kReadersSmiMatrix;
const Reader kReadersSmiMatrix{"nvidia-smi topo -m", smi::looksLikeMatrix, readMatrix};

}  // namespace lockstep::topology
