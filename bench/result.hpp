// What a run found: plain values. Ranks fill it, reports read it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "bench/config.hpp"
#include "bench/operation.hpp"
#include "bench/tune_result.hpp"

namespace lockstep::bench {

/// Something whose collectives are measured: a mode of Lockstep, or a rival.
struct Contender {
  std::string name;      ///< "cc-multicast", "mpi"
  std::string describe;  ///< "Lockstep 0.1.0", "Open MPI 4.1.4"
  std::string
      provenance;  ///< "host" or "host, emulated": sealed and multicast modes stand for hardware
  std::string cipher;        ///< "none" in the clear
  std::string keySource;     ///< "none" in the clear
  std::string ordinaryPath;  ///< how ordinary buffers are reached
  bool sealed = false;
  bool rival = false;
  std::string kernels{};    ///< on GPUs: how they came about (DeviceCommunicator::kernels)
  std::string multicast{};  ///< on GPUs: how it is done (DeviceCommunicator::multicastPath)
};

/// Which way a call went.
struct PlanText {
  std::string algorithm, protocol, transport;
  std::size_t tileBytes = 0;
  int depth = 1;
  std::string reason{};  ///< why this one (Plan::reason)
};

/// Bytes of one call, each of the rank that has most of them.
struct CallBytes {
  double moved = 0, sealed = 0, opened = 0, records = 0;
};

/// One contender at one size.
struct Series {
  bool supported = true;  ///< a rival may lack the type; everything below is then empty
  PlanText plan;
  CallBytes bytes;
  std::uint64_t wrong = 0;  ///< elements, over all ranks, in and out of place
  std::int64_t batch = 0;   ///< calls per sample
  double predictedUs = 0;   ///< by the cost model, of a run that only explains; else 0
  std::vector<double>
      samples;  ///< microseconds per call of the slowest rank; sample i of all series is one round
};

/// Bytes per second of one rank with all cores busy. For the bound; zero when no contender is
/// sealed.
struct Rates {
  double seal = 0, open = 0, copy = 0, reduce = 0;
};

/// A call of one operation on one message (bench/tasks.hpp).
struct Row {
  Operation op = Operation::allReduce;
  DataType type = DataType::f32;
  Reduction reduction = Reduction::sum;
  std::size_t bytes = 0, count = 0;
  Rates streaming;             ///< on data that streams from and to memory
  Rates cached;                ///< on data of this row's size that stays in the caches of a core
  std::vector<Series> series;  ///< by contender
};

struct RunResult {
  std::vector<Contender> contenders;
  std::vector<Row> rows;
  double seconds = 0;  ///< that measuring took, verification and all; 0: nothing was measured
  /// Between measurements, while ranks had nothing to wait for, how much of the time one had its
  /// core: the least of the ranks. 0: nobody looked.
  double coreShare = 0;
  std::vector<Bucket> tuned;  ///< of a run that tunes, and has nothing else
};

void to_json(nlohmann::json& json, const RunResult& result);
void from_json(const nlohmann::json& json, RunResult& result);

}  // namespace lockstep::bench
