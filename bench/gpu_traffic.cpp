#include "bench/gpu_traffic.hpp"

#include "collectives/registry.hpp"

namespace lockstep::bench {
namespace {

using schedule::Operand;
using schedule::OpKind;

class Counter {
 public:
  Counter(const schedule::Schedule& schedule, double blockBytes, bool lines)
      : chunkBytes_(blockBytes / schedule.chunks),
        readers_(schedule.shape.worldSize - 1),
        lineFactor_(lines ? 2 : 1) {
    for (const schedule::Program& program : schedule.programs)
      for (const schedule::Lane& lane : program.lanes)
        for (const schedule::Op& op : lane) add(op);
  }
  const Traffic& traffic() const { return traffic_; }

 private:
  void add(const schedule::Op& op) {
    if (op.kind != OpKind::move && op.kind != OpKind::forward) return;
    for (const Operand& source : op.src) traffic_.read += bytesOf(source);
    // What is for everyone is written once for each.
    for (const Operand& target : op.dst)
      traffic_.written += bytesOf(target) * (isForAll(target) ? readers_ : 1);
  }
  static bool isForAll(const Operand& operand) {
    return operand.kind == Operand::Kind::channel && operand.channel.reader == schedule::kEveryone;
  }
  double bytesOf(const Operand& operand) const {
    return operand.range.chunks * chunkBytes_ *
           (operand.kind == Operand::Kind::channel ? lineFactor_ : 1);
  }

  double chunkBytes_, readers_, lineFactor_;
  Traffic traffic_;
};

}  // namespace

Traffic trafficOf(const Row& row, const Series& series, Mode mode, int ranks, int root) {
  const auto collective = collectiveOf(row.op);
  if (!collective) return {};
  const bool exposes = series.plan.protocol == "zero_copy";
  const schedule::Algorithm* algorithm =
      schedule::findAlgorithm(*collective, series.plan.algorithm,
                              exposes ? schedule::Edges::exposure : schedule::Edges::channels);
  if (algorithm == nullptr) return {};
  const schedule::Schedule schedule = schedule::generate(
      *algorithm,
      {.worldSize = ranks, .inPlace = false, .multicast = isMulticast(mode), .root = root});
  const double block = static_cast<double>(row.count * sizeOf(row.type));
  return Counter(schedule, block, series.plan.protocol == "ll").traffic();
}

double memoryBound(const Traffic& traffic, double copiedPerSecond) {
  return copiedPerSecond > 0 ? traffic.total() / (2 * copiedPerSecond) * 1e6 : 0;
}

}  // namespace lockstep::bench
