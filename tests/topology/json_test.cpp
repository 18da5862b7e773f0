// All that is known of a machine, as JSON.
#include "topology/writers/json.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "topology/drawn_machines.hpp"

namespace lockstep::topology {
namespace {

using nlohmann::json;

//  NUMA 0: GPU0, and a NIC whose PCI device no one knows
Inventory tiny() {
  Inventory machine;
  machine.source = "tiny";
  Cpu cpu;
  cpu.numa = 0;
  machine.cpus.push_back(cpu);
  drawn::addGpu(machine, 0, kNone, 0x1b);
  Nic nic;
  nic.cpu = 0;
  nic.name = "eth0";
  nic.speed = Bandwidth::megabitsPerSecond(25000);
  machine.nics.push_back(nic);
  return machine;
}

json parsed(const Inventory& machine) {
  return json::parse(writeJson(Graph(machine)));
}

TEST(Json, WritesATinyMachine) {
  EXPECT_EQ(writeJson(Graph(tiny())), R"({
"schema": 1,
"source": "tiny",
"ncclVersion": 1,
"driver": {"version":null,"confidentialComputing":null,"lostGpus":[]},
"cpus": [
  {"host":null,"numa":0,"package":null,"affinity":null,"arch":null,"vendor":null,"model":null,"familyId":null,"modelId":null,"other":{}}
],
"pciDevices": [
  {"busId":"0000:1b:00.0","cpu":0,"parent":null,"class":"0x030200","vendor":"0x10de","device":null,"subsystemVendor":null,"subsystemDevice":null,"link":{"gigatransfersPerSecond":32.0,"lanes":16},"capable":{"gigatransfersPerSecond":null,"lanes":null},"peerSwitches":[],"name":"NVIDIA H100 80GB HBM3","other":{}}
],
"gpus": [
  {"pci":0,"device":0,"sm":90,"rank":null,"gpuDirect":false,"uuid":null,"links":[],"chipToChip":[],"deadLinks":[],"fabric":null,"peers":[],"other":{}}
],
"nics": [
  {"pci":null,"cpu":0,"name":"eth0","device":null,"gigabytesPerSecond":3.125,"port":null,"latencyMicroseconds":null,"guid":null,"maxConnections":null,"gpuDirect":false,"up":null,"other":{}}
],
"nodes": [
  {"name":"NUMA 0","kind":"CPU","row":0,"pci":null,"cpu":"NUMA 0","parent":null,"busId":null,"bare":false,"host":0},
  {"name":"GPU0","kind":"GPU","row":0,"pci":0,"cpu":"NUMA 0","parent":"NUMA 0","busId":"0000:1b:00.0","bare":false,"host":0},
  {"name":"eth0","kind":"NIC","row":0,"pci":null,"cpu":"NUMA 0","parent":"NUMA 0","busId":null,"bare":false,"host":0}
],
"links": [
  {"from":"GPU0","to":"NUMA 0","kind":"PCIe","count":16,"gigabytesPerSecond":55.0},
  {"from":"NUMA 0","to":"GPU0","kind":"PCIe","count":16,"gigabytesPerSecond":55.0},
  {"from":"eth0","to":"NUMA 0","kind":"PCIe","count":null,"gigabytesPerSecond":null},
  {"from":"NUMA 0","to":"eth0","kind":"PCIe","count":null,"gigabytesPerSecond":null}
],
"paths": [
  {"from":"GPU0","to":"eth0","type":"PHB","steps":[["GPU0"],["NUMA 0"],["eth0"]],"links":0,"gigabytesPerSecond":55.0}
],
"pathsLeftOut": null,
"remarks": [],
"problems": []
}
)");
}

TEST(Json, WritesWhatDriversTell) {
  Inventory machine = drawn::pairs();
  machine.driver.version = "570.1";
  machine.driver.confidential = ConfidentialComputing{.feature = true};
  FabricState fabric;
  fabric.state = FabricState::State::completed;
  fabric.clique = 7;
  machine.gpus[1].fabric = fabric;
  machine.gpus[1].deadLinks = {4, 9};
  machine.gpus[1].peers = {{.gpu = 0, .allowed = false, .reason = "chipset not supported"}};
  json document = parsed(machine);
  EXPECT_EQ(document["driver"]["version"], "570.1");
  EXPECT_EQ(document["driver"]["confidentialComputing"],
            json::parse(R"({"feature":true,"multiGpu":null,"production":false,"devTools":false})"));
  const json& gpu = document["gpus"][1];
  EXPECT_EQ(gpu["fabric"], json::parse(R"({"state":"completed","status":0,"clusterUuid":null,
                                           "clique":7,"health":null})"));
  EXPECT_EQ(gpu["deadLinks"], json::parse("[4,9]"));
  EXPECT_EQ(gpu["peers"],
            json::parse(R"([{"gpu":0,"allowed":false,"reason":"chipset not supported"}])"));
  machine.driver.confidential->multiGpuKnown = true;
  machine.driver.confidential->multiGpu = ConfidentialComputing::MultiGpu::protectedPcie;
  machine.driver.lost = {{.number = 2, .id = parseBusId("02:00.0"), .reason = "gone"}};
  document = parsed(machine);
  EXPECT_EQ(document["driver"]["confidentialComputing"]["multiGpu"], "protectedPcie");
  EXPECT_EQ(document["driver"]["lostGpus"],
            json::parse(R"([{"number":2,"busId":"0000:02:00.0","reason":"gone"}])"));
}

TEST(Json, TellsPathsByName) {
  const json document = parsed(drawn::nvSwitchNode());
  ASSERT_EQ(document["paths"].size(), 18U * 17 / 2);
  EXPECT_EQ(document["paths"][0], json::parse(R"({"from":"GPU0","to":"GPU1","type":"NVL",
      "steps":[["GPU0"],["NVSwitch0","NVSwitch1","NVSwitch2","NVSwitch3"],["GPU1"]],
      "links":18,"gigabytesPerSecond":370.8})"));
  EXPECT_TRUE(document["pathsLeftOut"].is_null());
}

TEST(Json, LeavesPathsOutWhereTheyAreTooMany) {
  Inventory machine;
  drawn::addCpu(machine, 0);
  for (int i = 0; i < 257; ++i) drawn::addNic(machine, 0, kNone, 1, "nic" + std::to_string(i));
  json document = parsed(machine);
  EXPECT_TRUE(document["paths"].is_null());
  EXPECT_EQ(document["pathsLeftOut"], "257 GPUs and NICs; paths are told between 256 at most");
  machine.nics.pop_back();
  machine.pci.pop_back();
  EXPECT_EQ(parsed(machine)["paths"].size(), 256U * 255 / 2);
}

TEST(Json, KeepsRemarksAndAnyBytes) {
  Inventory machine = tiny();
  machine.nics[0].name = "\xff\"\n";
  drawn::addLinks(machine, 0, drawn::bus(0x77), 4, pci_class::k3d);
  const json document = parsed(machine);
  EXPECT_EQ(document["nics"][0]["name"], "\ufffd\"\n");
  EXPECT_EQ(document["remarks"].size(), 1U);
}

TEST(Json, WritesNothingOfNothing) {
  const json document = parsed({});
  EXPECT_EQ(document["schema"], 1);
  EXPECT_EQ(document["nodes"], json::array());
}

TEST(Json, ContainsTheVerdict) {
  Inventory machine = tiny();
  machine.pci[0].capable = {machine.pci[0].link.speed, 2 * machine.pci[0].link.width};
  const json problems = parsed(machine)["problems"];
  ASSERT_EQ(problems.size(), 1U) << problems;
  EXPECT_EQ(problems[0]["severity"], "error");
  EXPECT_EQ(problems[0]["rule"], "pcie-downtrained");
  EXPECT_EQ(problems[0]["subject"], "GPU0");
}

}  // namespace
}  // namespace lockstep::topology
