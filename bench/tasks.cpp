#include "bench/tasks.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace lockstep::bench {

std::size_t blocksOf(Operation op, int ranks) {
  const Contract& contract = contractOf(op);
  if (!contract.hasData) return 0;
  return contract.inPerRank || contract.outPerRank ? static_cast<std::size_t>(ranks) : 1;
}

std::vector<std::size_t> countsFor(const RunConfig& config, Operation op, DataType type) {
  const std::size_t element = blocksOf(op, config.ranks) * sizeOf(type);
  if (element == 0) return {0};
  std::vector<std::size_t> counts;
  for (const std::size_t bytes : listSizes(config.sizes))
    counts.push_back(std::max<std::size_t>(bytes / element, 1));
  counts.erase(std::unique(counts.begin(), counts.end()), counts.end());
  std::erase_if(counts, [&](std::size_t count) { return count * element > config.sizes.maxBytes; });
  return counts;
}

std::size_t largestMessage(const RunConfig& config) {
  const auto hasData = [](Operation op) { return contractOf(op).hasData; };
  return std::any_of(config.ops.begin(), config.ops.end(), hasData) ? config.sizes.maxBytes : 0;
}

std::vector<Task> listTasks(const RunConfig& config) {
  std::vector<Task> tasks;
  for (const Operation op : config.ops) {
    const Contract& contract = contractOf(op);
    const std::size_t types = contract.hasData ? config.types.size() : 1;
    const std::size_t reductions = contract.reduces ? config.reductions.size() : 1;
    for (std::size_t t = 0; t < types; ++t)
      for (std::size_t r = 0; r < reductions; ++r)
        for (const std::size_t count : countsFor(config, op, config.types[t]))
          tasks.push_back({op, config.types[t], config.reductions[r], config.root, count,
                           count * blocksOf(op, config.ranks) * sizeOf(config.types[t])});
  }
  return tasks;
}

std::string describe(const Task& task) {
  const Contract& contract = contractOf(task.op);
  std::string text(name(task.op));
  if (contract.hasData) text += fmt::format(" {}", name(task.type));
  if (contract.reduces) text += fmt::format(" {}", name(task.reduction));
  if (contract.hasData) text += fmt::format(" of {}", formatBytes(static_cast<double>(task.bytes)));
  return text;
}

}  // namespace lockstep::bench
