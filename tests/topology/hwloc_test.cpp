// hwloc: its XML, synthetic machines, and the machine that the test runs on.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <set>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hwloc.h>

#include "fuzz/hwloc_xml_target.hpp"
#include "topology/discover.hpp"
#include "topology/graph/bandwidths.hpp"
#include "topology/inventory/guid.hpp"
#include "topology/probes/hwloc/inventory.hpp"
#include "topology/readers/hwloc/number_set.hpp"
#include "topology/readers/hwloc/read.hpp"
#include "topology/readers/reader.hpp"

namespace lockstep::topology {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string twoSocketText() {
  std::ifstream in(LOCKSTEP_SOURCE_DIR "/tests/topology/machines/two-socket.hwloc.xml");
  return {std::istreambuf_iterator<char>(in), {}};
}

const Inventory& twoSocket() {
  static const Inventory inventory =
      readTopologyFile(LOCKSTEP_SOURCE_DIR "/tests/topology/machines/two-socket.hwloc.xml")
          .inventory;
  return inventory;
}

/// "0000:18:00.0 below 0000:16:00.0 at NUMA 0" for each PCI device.
std::vector<std::string> tree(const Inventory& inventory) {
  std::vector<std::string> lines;
  for (const PciDevice& device : inventory.pci) {
    std::string line = print(device.id);
    if (device.parent != kNone)
      line += " below " + print(inventory.pci[static_cast<std::size_t>(device.parent)].id);
    const Cpu& cpu = inventory.cpus[static_cast<std::size_t>(device.cpu)];
    lines.push_back(fmt::format("{} at NUMA {}", line, cpu.numa));
  }
  return lines;
}

const PciDevice& device(const Inventory& inventory, const char* id) {
  const int row = findPci(inventory, {}, *parseBusId(id));
  EXPECT_NE(row, kNone) << id;
  return inventory.pci[static_cast<std::size_t>(row)];
}

/// <topology> around objects below the machine.
std::string machineOf(const std::string& objects) {
  return "<topology version=\"2.0\">\n<object type=\"Machine\" cpuset=\"0x3\" nodeset=\"0x3\">\n" +
         objects + "</object></topology>";
}

Reading read(const std::string& text) {
  return readTopology(text, "machine.xml");
}

/// What reading it throws.
std::string refusal(const std::string& text) {
  try {
    read(text);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalidArgument);
    return error.what();
  }
  return "nothing";
}

TEST(HwlocXml, HasARowOfEachSwitchAndDeviceBelowTheRightOne) {
  EXPECT_THAT(tree(twoSocket()),
              ElementsAre("0000:16:00.0 at NUMA 0",                     //
                          "0000:18:00.0 below 0000:16:00.0 at NUMA 0",  //
                          "0000:19:00.0 below 0000:16:00.0 at NUMA 0",  //
                          "0000:1b:00.0 at NUMA 0",                     //
                          "0000:15:03.0 at NUMA 0",                     //
                          "0000:98:00.0 at NUMA 1",                     //
                          "0000:9a:00.0 below 0000:98:00.0 at NUMA 1",  //
                          "0000:9c:00.0 below 0000:9a:00.0 at NUMA 1",  //
                          "0000:9d:00.0 below 0000:9a:00.0 at NUMA 1",  //
                          "0000:e0:00.0 at NUMA 0"));
}

TEST(HwlocXml, HasACpuForEachNumaNodeWithCpusOfItsOwn) {
  const Inventory& machine = twoSocket();
  ASSERT_EQ(machine.cpus.size(), 2U);
  const Cpu& first = machine.cpus[0];
  EXPECT_EQ(first.numa, 0);
  EXPECT_EQ(first.package, 0);
  EXPECT_EQ(first.affinity, "00000000,000fffff");
  EXPECT_EQ(first.arch, "arm64") << "in NCCL's words";
  EXPECT_EQ(first.vendor, "GenuineIntel");
  EXPECT_EQ(first.model, "Made Up 8480 & Sons");
  EXPECT_EQ(first.familyId, 6);
  EXPECT_EQ(first.modelId, 143);
  EXPECT_EQ(machine.cpus[1].numa, 1);
  EXPECT_EQ(machine.cpus[1].package, 1);
  EXPECT_EQ(machine.cpus[1].affinity, "000000ff,fff00000");
}

TEST(HwlocXml, KnowsWhatPciDevicesAre) {
  const PciDevice& gpu = device(twoSocket(), "0000:18:00.0");
  EXPECT_EQ(gpu.classCode, 0x030200U);
  EXPECT_EQ(gpu.vendor, 0x10de);
  EXPECT_EQ(gpu.device, 0x2330);
  EXPECT_EQ(gpu.subsystemVendor, 0x10de);
  EXPECT_EQ(gpu.subsystemDevice, 0x16c1);
  EXPECT_EQ(gpu.name, "NVIDIA H100 80GB HBM3");
  EXPECT_TRUE(isSwitch(device(twoSocket(), "0000:9a:00.0")));
  EXPECT_EQ(device(twoSocket(), "0000:9d:00.0").classCode, pci_class::kNvSwitch);
}

TEST(HwlocXml, GuessesTheWidestLinkOfABandwidthAndSaysSo) {
  const auto link = [](const char* id) { return device(twoSocket(), id).link; };
  EXPECT_EQ(link("0000:18:00.0"), (PcieLink{TransferRate::gigatransfers(32), 16}));
  EXPECT_EQ(link("0000:19:00.0"), (PcieLink{TransferRate::gigatransfers(16), 16}));
  EXPECT_EQ(link("0000:1b:00.0"), (PcieLink{TransferRate::gigatransfers(8), 8}));
  EXPECT_EQ(link("0000:15:03.0"), PcieLink{}) << "not told";
  EXPECT_THAT(read(twoSocketText()).remarks[1].text, HasSubstr("widest link"));
}

TEST(HwlocXml, HasGpusWithTheDriversNumbers) {
  const Inventory& machine = twoSocket();
  ASSERT_EQ(machine.gpus.size(), 2U);
  EXPECT_EQ(machine.gpus[0].pci, findPci(machine, {}, *parseBusId("18:00.0")));
  EXPECT_EQ(machine.gpus[0].device, 0) << "NVML's, not CUDA's";
  EXPECT_EQ(machine.gpus[0].uuid, "GPU-00000000-1111-2222-3333-444444444444");
  EXPECT_EQ(machine.gpus[1].pci, findPci(machine, {}, *parseBusId("9c:00.0")));
  EXPECT_EQ(machine.gpus[1].device, 1);
}

TEST(HwlocXml, HasNicsByPortAndNotTheirInterfacesOnceMore) {
  const Inventory& machine = twoSocket();
  ASSERT_EQ(machine.nics.size(), 3U);
  for (const int port : {1, 2}) {
    const Nic& nic = machine.nics[static_cast<std::size_t>(port) - 1];
    EXPECT_EQ(nic.name, "mlx5_0");
    EXPECT_EQ(nic.port, port);
    EXPECT_EQ(nic.up, port == 1);
    EXPECT_EQ(nic.guid, "0x48191e0003ae6d94");
    EXPECT_EQ(nic.pci, findPci(machine, {}, *parseBusId("19:00.0")));
  }
  EXPECT_EQ(machine.nics[2].name, "eno1");
  EXPECT_EQ(machine.nics[2].up, std::nullopt);
}

TEST(HwlocXml, SaysWhichDevicesAreNearNoNode) {
  const std::vector<Remark> remarks = read(twoSocketText()).remarks;
  ASSERT_EQ(remarks.size(), 3U);
  EXPECT_THAT(remarks[0].text, HasSubstr("taken for node 0"));
  EXPECT_GT(remarks[0].line, 90);
  EXPECT_EQ(remarks[2].text, "hwloc does not count NVLinks: none are shown, and none are missed");
}

TEST(HwlocXml, TakesMachinesWithoutNumaNodesForOne) {
  const Inventory machine =
      read(machineOf("<object type=\"PCIDev\" pci_busid=\"0000:01:00.0\"/>")).inventory;
  ASSERT_EQ(machine.cpus.size(), 1U);
  EXPECT_EQ(machine.cpus[0].numa, 0);
  EXPECT_EQ(machine.cpus[0].affinity, "00000003");
  EXPECT_THAT(tree(machine), ElementsAre("0000:01:00.0 at NUMA 0"));
}

TEST(HwlocXml, LeavesOutWhatMakesNoSense) {
  const Reading reading =
      read(machineOf("<object type=\"NUMANode\" os_index=\"0\" cpuset=\"0x1\"/>\n"
                     "<object type=\"NUMANode\" os_index=\"0\" cpuset=\"0x2\"/>\n"
                     "<object type=\"NUMANode\" os_index=\"-7\" cpuset=\"0x2\"/>\n"
                     "<object type=\"NUMANode\" os_index=\"5\" cpuset=\"0xf...f\"/>\n"
                     "<object type=\"PCIDev\" pci_busid=\"somewhere\"/>\n"
                     "<object type=\"PCIDev\" pci_busid=\"0000:01:00.0\" pci_type=\"[x]\" "
                     "pci_link_speed=\"-1e999\"/>\n"
                     "<object type=\"PCIDev\" pci_busid=\"0000:01:00.0\"/>\n"));
  std::vector<int> lines;
  for (const Remark& remark : reading.remarks) lines.push_back(remark.line);
  EXPECT_THAT(lines, ElementsAre(4, 5, 6, 7, 7, 8, 9, 9));
  ASSERT_EQ(reading.inventory.cpus.size(), 2U);
  EXPECT_EQ(reading.inventory.cpus[1].affinity, "");
  ASSERT_EQ(reading.inventory.pci.size(), 1U);
  EXPECT_EQ(reading.inventory.pci[0].classCode, 0U);
  EXPECT_EQ(reading.inventory.pci[0].vendor, std::nullopt);
}

TEST(HwlocXml, RefusesWithTheLineWhatCannotBeRead) {
  EXPECT_THAT(refusal("<topology>\n<object>\n</topology>"), HasSubstr("machine.xml:3: "));
  EXPECT_THAT(refusal("<?xml version=\"1.0\"?>\n<topology/>"),
              HasSubstr("machine.xml:2: <topology> has no <object"));
  std::string deep = "<topology>\n";
  for (int i = 0; i < 5000; ++i) deep += "<object type=\"Bridge\">\n";
  for (int i = 0; i < 5000; ++i) deep += "</object>";
  EXPECT_THAT(refusal(deep + "</topology>"),
              HasSubstr("machine.xml:65: <object> is more than 64 elements deep"));
  std::string many = "<topology><object>";
  for (int i = 0; i < 100'001; ++i) many += "<a/>";
  EXPECT_THAT(refusal(many + "</object></topology>"), HasSubstr("more than 100000 elements"));
}

TEST(HwlocXml, BoundsItsRows) {
  std::string devices;
  for (unsigned i = 0; i < 16385; ++i)
    devices += fmt::format("<object type=\"PCIDev\" pci_busid=\"{:x}:{:x}:{:x}.0\"/>\n", i >> 13,
                           i >> 5 & 0xff, i & 31);
  EXPECT_THAT(refusal(machineOf(devices)), HasSubstr("machine.xml:16387: more than 16384 PCI"));
  std::string ports = "<object type=\"PCIDev\" pci_busid=\"0:0:0.0\">";
  for (unsigned i = 0; i < 16385; ++i)
    ports += "<object type=\"OSDev\" name=\"eth\"><info name=\"Address\" value=\"0\"/></object>";
  EXPECT_THAT(refusal(machineOf(ports + "</object>")), HasSubstr("more than 16384 ports"));
}

TEST(HwlocXml, BoundsItsRemarks) {
  std::string objects;
  for (int i = 0; i < 1000; ++i) objects += "<object type=\"PCIDev\"/>\n";
  const std::vector<Remark> remarks = read(machineOf(objects)).remarks;
  ASSERT_EQ(remarks.size(), kMostRemarks);
  EXPECT_EQ(remarks.back().text, "and 901 remarks more");
}

TEST(HwlocXml, IsKnownByItsFirstElement) {
  EXPECT_TRUE(isHwlocXml("<topology>"));
  EXPECT_TRUE(
      isHwlocXml("\xef\xbb\xbf<?xml?>\n<!-- <system> --><!DOCTYPE topology SYSTEM "
                 "\"hwloc2.dtd\">\n<topology version=\"2.0\">"));
  for (const char* other : {"", "<", "<topologydiff/>", "<system/>", "<!--", "<?", "<!",
                            "<!-- <topology> -->", "topology"})
    EXPECT_FALSE(isHwlocXml(other)) << other;
}

TEST(HwlocXml, AnyBytesAreReadOrRefused) {
  std::mt19937 random(7);
  const std::string good = twoSocketText();
  for (int trial = 0; trial < 1500; ++trial) {
    std::string text = good;
    for (unsigned edits = 1 + random() % 6; edits > 0; --edits) {
      const std::size_t at = random() % text.size();
      if (random() % 3 == 0)
        text.erase(at, 1 + random() % 40);
      else if (random() % 2 == 0)
        text.insert(at, text.substr(random() % text.size(), random() % 300));
      else
        text[at] = "<>/\"=0f x&;\0"[random() % 12];
    }
    fuzz::hwlocXml(text);
  }
}

TEST(NumberSet, ReadsWhatHwlocWrites) {
  using hwloc_xml::NumberSet;
  EXPECT_EQ(NumberSet::parse("0x0000000f")->numbers(), (std::vector<int>{0, 1, 2, 3}));
  EXPECT_EQ(NumberSet::parse("0x1,,0x80000000")->numbers(), (std::vector<int>{31, 64}));
  EXPECT_EQ(NumberSet::parse("0x1,0x0")->mask(3), "00000000,00000001,00000000");
  EXPECT_TRUE(NumberSet::parse("0x0")->empty());
  for (const char* bad : {"", "1", "0x", "0xg", "0x123456789", "0xf...f", "0xf...f,0x1", "-0x1"})
    EXPECT_EQ(NumberSet::parse(bad), std::nullopt) << bad;
  EXPECT_EQ(NumberSet::parse(std::string(100'000, ',')), std::nullopt);
}

TEST(Guid, IsWrittenAsNcclDoes) {
  EXPECT_EQ(guidAsNcclWrites("946d:ae03:001e:1948"), "0x48191e0003ae6d94");
  for (const char* none : {"", "0000:0000:0000:0000", "946d:ae03:001e", "946d:ae03:001e:1948:00",
                           "946d:ae03:001e:194", "zzzz:ae03:001e:1948"})
    EXPECT_EQ(guidAsNcclWrites(none), "") << none;
}

using Topology = std::unique_ptr<hwloc_topology, decltype(&hwloc_topology_destroy)>;

Inventory synthetic(const char* description) {
  hwloc_topology_t raw = nullptr;
  EXPECT_EQ(hwloc_topology_init(&raw), 0);
  const Topology topology(raw, &hwloc_topology_destroy);
  EXPECT_EQ(hwloc_topology_set_synthetic(raw, description), 0) << description;
  EXPECT_EQ(hwloc_topology_load(raw), 0);
  const Reading reading = inventoryOf(raw);
  EXPECT_THAT(reading.remarks, IsEmpty());
  return reading.inventory;
}

TEST(HwlocTopology, OfTwoPackages) {
  const Inventory machine = synthetic("pack:2 numa:1 core:4 pu:2");
  ASSERT_EQ(machine.cpus.size(), 2U);
  EXPECT_EQ(machine.cpus[0].affinity, "000000ff");
  EXPECT_EQ(machine.cpus[1].affinity, "0000ff00");
  EXPECT_EQ(machine.cpus[1].numa, 1);
  EXPECT_EQ(machine.cpus[1].package, 1);
  EXPECT_THAT(machine.pci, IsEmpty());
}

TEST(HwlocTopology, OfSeveralNodesInAPackageAndSeveralPackagesInANode) {
  const Inventory split = synthetic("pack:2 numa:2 core:20 pu:1");
  ASSERT_EQ(split.cpus.size(), 4U);
  EXPECT_EQ(split.cpus[1].package, 0);
  EXPECT_EQ(split.cpus[2].package, 1);
  EXPECT_EQ(split.cpus[0].affinity, "00000000,00000000,000fffff");
  EXPECT_EQ(split.cpus[3].affinity, "0000ffff,f0000000,00000000");
  const Inventory joined = synthetic("numa:1 pack:2 core:2 pu:1");
  ASSERT_EQ(joined.cpus.size(), 1U);
  EXPECT_EQ(joined.cpus[0].package, kNone);
}

/// PCI functions of this machine but bridges; those whose domain hwloc 2 has no room for too.
std::set<std::string> functionsInSysfs() {
  std::set<std::string> ids;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/sys/bus/pci/devices", error)) {
    std::string code;
    std::ifstream(entry.path() / "class") >> code;
    const std::string id = entry.path().filename();
    if (!code.starts_with("0x0604") && id.size() == 12) ids.insert(id);
  }
  return ids;
}

std::set<std::string> functionsOf(const Inventory& inventory) {
  std::set<std::string> ids;
  for (const PciDevice& function : inventory.pci)
    if (!isSwitch(function) && function.id.domain <= 0xffff) ids.insert(print(function.id));
  return ids;
}

TEST(HwlocProbe, ShowsThisMachinesCpusAndPciDevices) {
  for (const Probe* probe : allProbes()) {
    if (probe->name != "hwloc") continue;
    const Finding finding = probe->look({});
    ASSERT_EQ(finding.absent, "");
    requireSound(finding.inventory);
    ASSERT_FALSE(finding.inventory.cpus.empty());
    EXPECT_FALSE(finding.inventory.cpus[0].affinity.empty());
    EXPECT_EQ(functionsOf(finding.inventory), functionsInSysfs());
    return;
  }
  FAIL() << "the probe is not in the table";
}

TEST(HwlocProbe, DoesNotShowThisMachineForAnother) {
  Surroundings elsewhere;
  elsewhere.sys = "/nowhere";
  for (const Probe* probe : allProbes())
    if (probe->name == "hwloc") {
      EXPECT_THAT(probe->look(elsewhere).absent, HasSubstr("/sys"));
    }
}

TEST(Discover, ShowsThisMachinesDevicesWithTheirPlace) {
  const Discovery discovery = discover();
  requireSound(discovery.inventory);
  EXPECT_FALSE(discovery.inventory.cpus.empty());
  EXPECT_EQ(functionsOf(discovery.inventory), functionsInSysfs());
  for (const PciDevice& function : discovery.inventory.pci) {
    EXPECT_NE(function.cpu, kNone) << print(function.id);
    EXPECT_TRUE(function.vendor) << print(function.id);
  }
}

}  // namespace
}  // namespace lockstep::topology
