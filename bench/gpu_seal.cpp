#include "bench/gpu_seal.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "bench/gpu.hpp"
#include "bench/output.hpp"
#include "bench/sizes.hpp"
#include "bench/subcommand.hpp"
#include "bench/text_table.hpp"

namespace lockstep::bench {
namespace {

struct SealLine {
  std::string most = "256M";
  std::string jsonFile;
  int gpu = 0;
};

void addOptions(CLI::App& app, SealLine& line) {
  app.add_option("-e,--maxbytes", line.most, "The largest buffer, at least 64K")
      ->type_name("SIZE")
      ->capture_default_str();
  app.add_option("--gpu", line.gpu, "Which GPU")->check(CLI::Range(0, 1023))->capture_default_str();
  app.add_option("--json", line.jsonFile, "Writes everything to it")->type_name("FILE");
}

std::string textOf(const std::vector<SealRate>& rates, const DeviceInfo& device) {
  TextTable table;
  table.addColumn("", "cipher");
  table.addColumn("", "message");
  table.addColumn("", "buffer");
  table.addColumn("GB/s of plaintext", "seal");
  table.addColumn("GB/s of plaintext", "open");
  for (const SealRate& rate : rates)
    table.addRow({rate.cipher, formatBytes(static_cast<double>(rate.messageBytes)),
                  formatBytes(static_cast<double>(rate.bytes)),
                  fmt::format("{:.1f}", rate.sealed * 1e-9),
                  fmt::format("{:.1f}", rate.opened * 1e-9)});
  return fmt::format("AES-256-GCM on {}, {} multiprocessors, all of them{}\n\n{}", device.name,
                     device.multiprocessors,
                     device.emulated ? ": emulated, the rates mean nothing" : "", table.text());
}

nlohmann::json jsonOf(const std::vector<SealRate>& rates, const GpuFacts& facts, int gpu) {
  nlohmann::json json{{"gpus", facts}, {"gpu", gpu}, {"rates", nlohmann::json::array()}};
  for (const SealRate& rate : rates)
    json["rates"].push_back({{"cipher", rate.cipher},
                             {"messageBytes", rate.messageBytes},
                             {"bytes", rate.bytes},
                             {"sealedPerSecond", rate.sealed},
                             {"openedPerSecond", rate.opened}});
  return json;
}

}  // namespace

int runSeal(const std::vector<std::string>& arguments) {
  CLI::App app("ccbench seal: how fast a GPU seals and opens by itself", "ccbench seal");
  SealLine line;
  addOptions(app, line);
  if (!readArguments(app, arguments)) return 0;
  constexpr std::size_t kLeast = std::size_t{64} << 10;
  const std::size_t most = parseSize(line.most);
  if (most < kLeast) throw UsageError("--maxbytes: a buffer has at least 64K");
  if (!line.jsonFile.empty()) requireWritable(line.jsonFile);
  const GpuFacts facts = detectGpus(0);
  if (line.gpu >= std::ssize(facts.devices))
    throw UsageError(fmt::format("--gpu {}: there are {}", line.gpu, facts.devices.size()));
  const auto rates = measureSealing(cuda::PrimaryContext::retain(line.gpu), most);
  print(textOf(rates, facts.devices[static_cast<std::size_t>(line.gpu)]));
  if (!line.jsonFile.empty())
    writeFile(line.jsonFile, jsonOf(rates, facts, line.gpu).dump(1) + "\n");
  return 0;
}

}  // namespace lockstep::bench
