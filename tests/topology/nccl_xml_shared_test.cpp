// NCCL's topology XML of machines that others recorded: what is read, and written again.
#include <algorithm>
#include <cstdlib>
#include <map>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <pugixml.hpp>

#include "topology/readers/reader.hpp"
#include "topology/shared_machines.hpp"
#include "topology/writers/nccl_xml.hpp"

namespace lockstep::topology {
namespace {

Inventory shared(std::string_view name) {
  const Reading reading = readTopologyFile(sharedMachine(name));
  for (const Remark& remark : reading.remarks)
    ADD_FAILURE() << name << ":" << remark.line << ": " << remark.text;
  return reading.inventory;
}

/// "CPUs/PCI devices/GPUs/NICs"
std::string counts(const Inventory& inventory) {
  return fmt::format("{}/{}/{}/{}", inventory.cpus.size(), inventory.pci.size(),
                     inventory.gpus.size(), inventory.nics.size());
}

/// Addresses from the CPU's down to this one: "0000:08:00.0 0000:0d:00.0".
std::string wayTo(const Inventory& inventory, int row) {
  const PciDevice& device = inventory.pci[static_cast<std::size_t>(row)];
  const std::string id = print(device.id);
  return device.parent == kNone ? id : wayTo(inventory, device.parent) + " " + id;
}

int numaOf(const Inventory& inventory, int pci) {
  const int cpu = inventory.pci[static_cast<std::size_t>(pci)].cpu;
  return inventory.cpus[static_cast<std::size_t>(cpu)].numa;
}

/// "0000:1a:00.0*4 0000:1b:00.0*5", by address.
std::string linksOf(const Gpu& gpu) {
  std::map<std::string, int> links;
  for (const GpuLinks& link : gpu.links) links[print(link.target)] += link.count;
  std::string text;
  for (const auto& [target, count] : links)
    text += fmt::format("{}{}*{}", text.empty() ? "" : " ", target, count);
  return text;
}

TEST(NcclXmlShared, EveryFileHasItsRows) {
  LOCKSTEP_NEED_SHARED_MACHINES();
  EXPECT_EQ(counts(shared("a100x4-pcie-nvlink-pairs.xml")), "4/4/4/1");
  EXPECT_EQ(counts(shared("a100x8-vm-hint.xml")), "4/20/0/0");
  EXPECT_EQ(counts(shared("amd-8p-mi300-xgmi.xml")), "2/40/8/8");
  EXPECT_EQ(counts(shared("amd-8p-pcie.xml")), "1/19/8/1");
  EXPECT_EQ(counts(shared("h100x8-nvswitch-baremetal.xml")), "2/40/8/16");
  EXPECT_EQ(counts(shared("p4d-a100x8-vm-hint.xml")), "2/16/0/0");
}

//  NUMA 0              1               2               3
//  A100 0001, eth0     A100 0002       A100 0003       A100 0004      NVLinks told to themselves
TEST(NcclXmlShared, FourA100WithLinksToThemselves) {
  LOCKSTEP_NEED_SHARED_MACHINES();
  const Inventory machine = shared("a100x4-pcie-nvlink-pairs.xml");
  EXPECT_EQ(machine.version, 1);
  for (int i = 0; i < 4; ++i) {
    const Gpu& gpu = machine.gpus[static_cast<std::size_t>(i)];
    const PciDevice& device = machine.pci[static_cast<std::size_t>(gpu.pci)];
    const std::string id = fmt::format("000{}:00:00.0", i + 1);
    EXPECT_EQ(wayTo(machine, gpu.pci), id);
    EXPECT_EQ(numaOf(machine, gpu.pci), i);
    EXPECT_EQ(linksOf(gpu), id + "*12");
    EXPECT_EQ(gpu.links[0].targetClass, 0x030200U);
    EXPECT_EQ(gpu.device, i);
    EXPECT_EQ(gpu.rank, i);
    EXPECT_EQ(gpu.sm, 80);
    EXPECT_TRUE(gpu.gpuDirect);
    EXPECT_FALSE(device.link.speed.known());
    EXPECT_EQ(device.link.width, 0);
    EXPECT_EQ(device.device, 0x20b5);
    EXPECT_EQ(device.subsystemDevice, 0x1533);
  }
  const Nic& nic = machine.nics[0];
  EXPECT_EQ(nic.name, "eth0");
  EXPECT_EQ(nic.pci, kNone);
  EXPECT_EQ(nic.cpu, 0);
  EXPECT_DOUBLE_EQ(nic.speed.megabitsPerSecond(), 100000);
  EXPECT_EQ(nic.guid, "0x0");
  EXPECT_EQ(nic.maxConnections, 65536);
  EXPECT_FALSE(nic.gpuDirect);
  const Cpu& cpu = machine.cpus[3];
  EXPECT_EQ(cpu.affinity, "ffffff00,00000000,00000000");
  EXPECT_EQ(cpu.arch + " " + cpu.vendor, "x86_64 AuthenticAMD");
  EXPECT_EQ(cpu.familyId, 175);
  EXPECT_EQ(cpu.modelId, 1);
}

//  each of 4 NUMA nodes: a switch ffff:ff:0N.0 that is not there, 2 GPUs and 2 NICs below it
TEST(NcclXmlShared, HintsHaveNoGpusButDevices) {
  LOCKSTEP_NEED_SHARED_MACHINES();
  const Inventory azure = shared("a100x8-vm-hint.xml");
  EXPECT_EQ(std::count_if(azure.pci.begin(), azure.pci.end(), looksLikeGpu), 8);
  EXPECT_EQ(std::count_if(azure.pci.begin(), azure.pci.end(), looksLikeNic), 8);
  EXPECT_EQ(std::count_if(azure.pci.begin(), azure.pci.end(), isSwitch), 4);
  EXPECT_EQ(wayTo(azure, findPci(azure, "", *parseBusId("000d:00:00.0"))),
            "ffff:ff:03.0 000d:00:00.0");
  EXPECT_EQ(numaOf(azure, findPci(azure, "", *parseBusId("0106:00:00.0"))), 3);
  for (const PciDevice& device : azure.pci) {
    EXPECT_DOUBLE_EQ(device.link.speed.gigatransfers(), 16);
    EXPECT_EQ(device.link.width, 16);
    EXPECT_FALSE(device.vendor);
  }
  const Inventory aws = shared("p4d-a100x8-vm-hint.xml");
  EXPECT_EQ(std::count_if(aws.pci.begin(), aws.pci.end(), looksLikeGpu), 8);
  EXPECT_EQ(std::count_if(aws.pci.begin(), aws.pci.end(), looksLikeNic), 4);
  EXPECT_EQ(wayTo(aws, findPci(aws, "", *parseBusId("0000:a0:1b.0"))), "ffff:ff:04.0 0000:a0:1b.0");
  EXPECT_EQ(aws.pci[0].vendor, 0xffff);
  EXPECT_DOUBLE_EQ(aws.pci[0].link.speed.gigatransfers(), 8);
}

//  each of 8: switch, switch, bridge, MI300X; NIC below the first switch; every GPU linked to every
TEST(NcclXmlShared, EightMi300) {
  LOCKSTEP_NEED_SHARED_MACHINES();
  const Inventory machine = shared("amd-8p-mi300-xgmi.xml");
  EXPECT_EQ(machine.version, 2);
  EXPECT_EQ(wayTo(machine, machine.gpus[0].pci),
            "0000:05:00.0 0000:08:00.0 0000:0a:00.0 0000:0c:00.0");
  EXPECT_EQ(wayTo(machine, machine.nics[0].pci), "0000:05:00.0 0000:07:00.0");
  for (std::size_t i = 0; i < 8; ++i) {
    const Gpu& gpu = machine.gpus[i];
    const BusId own = machine.pci[static_cast<std::size_t>(gpu.pci)].id;
    EXPECT_EQ(gpu.sm, 304);
    EXPECT_EQ(numaOf(machine, gpu.pci), i < 4 ? 0 : 1);
    EXPECT_EQ(gpu.other, (Attributes{{"gcn", "gfx942"}, {"arch", "38911"}}));
    ASSERT_EQ(gpu.links.size(), 7U);
    for (const GpuLinks& link : gpu.links) {
      EXPECT_EQ(link.kind, GpuLinkKind::xgmi);
      EXPECT_EQ(link.count, 1);
      EXPECT_EQ(link.targetClass, 0x120000U);
      EXPECT_NE(link.target, own);
      EXPECT_NE(gpuAt(machine, findPci(machine, "", link.target)), kNone);
    }
    const Nic& nic = machine.nics[i];
    EXPECT_EQ(nic.name, fmt::format("mlx5_{}", i));
    EXPECT_EQ(nic.device, static_cast<int>(i));
    EXPECT_DOUBLE_EQ(nic.speed.megabitsPerSecond(), 400000);
    EXPECT_EQ(numaOf(machine, nic.pci), i < 4 ? 0 : 1);
  }
}

//  NUMA 0: switch 18 (4 GPUs, each below its own switch or two; mlx5_0), switch 3b (4 GPUs)
TEST(NcclXmlShared, EightRadeonsOnPcie) {
  LOCKSTEP_NEED_SHARED_MACHINES();
  const Inventory machine = shared("amd-8p-pcie.xml");
  EXPECT_EQ(machine.version, 2);
  std::vector<std::string> ways;
  for (const Gpu& gpu : machine.gpus) {
    ways.push_back(wayTo(machine, gpu.pci));
    EXPECT_TRUE(gpu.links.empty());
  }
  EXPECT_EQ(
      ways,
      (std::vector<std::string>{
          "0000:18:00.0 0000:1b:00.0 0000:1d:00.0", "0000:18:00.0 0000:1e:00.0 0000:20:00.0",
          "0000:18:00.0 0000:21:00.0 0000:23:00.0", "0000:18:00.0 0000:24:00.0 0000:26:00.0",
          "0000:3b:00.0 0000:3d:00.0 0000:3f:00.0", "0000:3b:00.0 0000:41:00.0 0000:43:00.0",
          "0000:3b:00.0 0000:44:00.0 0000:46:00.0", "0000:3b:00.0 0000:47:00.0 0000:49:00.0"}));
  EXPECT_EQ(machine.nics[0].name, "mlx5_0");
  EXPECT_DOUBLE_EQ(machine.nics[0].speed.megabitsPerSecond(), 100000);
  EXPECT_EQ(wayTo(machine, machine.nics[0].pci), "0000:18:00.0 0000:1a:00.0");
}

//  each of 8: a switch with two below it, one with the GPU, one with a ConnectX-7 of two ports;
//  every GPU on 4 NVSwitches by 4 + 5 + 5 + 4 links
TEST(NcclXmlShared, EightH100BehindNvSwitches) {
  LOCKSTEP_NEED_SHARED_MACHINES();
  const Inventory machine = shared("h100x8-nvswitch-baremetal.xml");
  for (std::size_t i = 0; i < 8; ++i) {
    const Gpu& gpu = machine.gpus[i];
    EXPECT_EQ(linksOf(gpu), "0000:1a:00.0*4 0000:1b:00.0*5 0000:1c:00.0*5 0000:1d:00.0*4") << i;
    for (const GpuLinks& link : gpu.links) EXPECT_EQ(link.targetClass, pci_class::kNvSwitch);
    EXPECT_EQ(gpu.sm, 90);
    EXPECT_EQ(gpu.device, static_cast<int>(i));
    EXPECT_EQ(numaOf(machine, gpu.pci), i < 4 ? 0 : 1);
  }
  EXPECT_EQ(wayTo(machine, machine.gpus[0].pci), "0000:08:00.0 0000:0d:00.0 0000:0f:00.0");
  EXPECT_EQ(wayTo(machine, machine.nics[0].pci), "0000:08:00.0 0000:0a:00.0 0000:0c:00.0");
  std::vector<std::string> names;
  for (const Nic& nic : machine.nics) {
    names.push_back(nic.name);
    EXPECT_DOUBLE_EQ(nic.speed.megabitsPerSecond(), 180000);
  }
  EXPECT_EQ(names,
            (std::vector<std::string>{"mlx5_0", "mlx5_1", "mlx5_3", "mlx5_4", "mlx5_5", "mlx5_6",
                                      "mlx5_7", "mlx5_8", "mlx5_9", "mlx5_10", "mlx5_12", "mlx5_13",
                                      "mlx5_14", "mlx5_15", "mlx5_16", "mlx5_17"}));
  EXPECT_EQ(machine.nics[1].pci, machine.nics[0].pci);
  EXPECT_EQ(machine.nics[1].port, 2);
  EXPECT_EQ(machine.nics[2].guid, "0x48191e0003ae6d94");
  EXPECT_DOUBLE_EQ(machine.pci[0].link.speed.gigatransfers(), 5);
}

bool sameValue(std::string_view name, const std::string& a, const std::string& b) {
  if (a == b) return true;
  char* endOfA = nullptr;
  char* endOfB = nullptr;
  const bool sameNumber = std::strtod(a.c_str(), &endOfA) == std::strtod(b.c_str(), &endOfB);
  if (name == "link_speed") return sameNumber && endOfA != a.c_str();
  return sameNumber && endOfA != a.c_str() && *endOfA == '\0' && *endOfB == '\0';
}

/// Every element of `original` with its attributes is in `written`, at the same place.
void expectKept(pugi::xml_node original, pugi::xml_node written, const std::string& where) {
  ASSERT_TRUE(written) << where << " is gone";
  for (const pugi::xml_attribute attribute : original.attributes()) {
    const pugi::xml_attribute again = written.attribute(attribute.name());
    ASSERT_TRUE(again) << where << " has lost " << attribute.name();
    EXPECT_TRUE(sameValue(attribute.name(), attribute.value(), again.value()))
        << where << " " << attribute.name() << ": " << attribute.value() << " became "
        << again.value();
  }
  std::map<std::string, int> seen;
  for (const pugi::xml_node child : original.children()) {
    if (child.type() != pugi::node_element) continue;
    const int number = seen[child.name()]++;
    pugi::xml_node again = written.child(child.name());
    for (int i = 0; i < number; ++i) again = again.next_sibling(child.name());
    expectKept(child, again, fmt::format("{}/{}[{}]", where, child.name(), number));
  }
}

TEST(NcclXmlShared, NothingIsLostInWriting) {
  LOCKSTEP_NEED_SHARED_MACHINES();
  for (const std::string_view name : kSharedNcclXml) {
    const Inventory machine = shared(name);
    const std::string written = writeNcclXml(machine);
    EXPECT_EQ(readTopology(written, machine.source).inventory, machine) << name;
    pugi::xml_document before, after;
    ASSERT_TRUE(before.load_file(sharedMachine(name).c_str()));
    ASSERT_TRUE(after.load_string(written.c_str()));
    expectKept(before.child("system"), after.child("system"), std::string(name));
  }
}

TEST(NcclXmlShared, DumpsOfNcclAreWrittenByteForByte) {
  LOCKSTEP_NEED_SHARED_MACHINES();
  for (const std::string_view name :
       {"a100x4-pcie-nvlink-pairs.xml", "h100x8-nvswitch-baremetal.xml"}) {
    std::string original = contentsOf(sharedMachine(name));
    original.erase(original.find_last_not_of('\n') + 2);
    original.erase(0, original.find('<'));
    EXPECT_EQ(writeNcclXml(shared(name)), original) << name;
  }
}

}  // namespace
}  // namespace lockstep::topology
