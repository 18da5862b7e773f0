// What is read from sysfs, of machines made up in a folder.
#include "topology/probes/sysfs/sysfs.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "topology/discover.hpp"
#include "topology/fake_sys.hpp"
#include "topology/inventory/merge.hpp"
#include "topology/probes/sysfs/pcie_link.hpp"

namespace lockstep::topology {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kBridgeClass = "0x060400\n";

Finding look(std::string_view name, const FakeSys& sys) {
  for (const Probe* probe : allProbes())
    if (probe->name == name) {
      Finding finding = probe->look(sys.surroundings());
      requireSound(finding.inventory);
      return finding;
    }
  ADD_FAILURE() << name << " is not in the table of probes";
  return {};
}

PcieLink link(double gigatransfers, int width) {
  return {TransferRate::gigatransfers(gigatransfers), width};
}

const PciDevice& device(const Inventory& inventory, const char* id) {
  const int row = findPci(inventory, {}, *parseBusId(id));
  if (row == kNone) throw std::runtime_error(std::string("no PCI device ") + id);
  return inventory.pci[static_cast<std::size_t>(row)];
}

std::string switchAbove(const Inventory& inventory, const char* id) {
  const int parent = device(inventory, id).parent;
  return parent == kNone ? "" : print(inventory.pci[static_cast<std::size_t>(parent)].id);
}

//  NUMA 1: host bridge
//    +- 15:01.0 root port, Gen5 x16
//    |  +- 16:00.0 up, Gen5 x16
//    |     +- 17:00.0 down, Gen5 x16: 18:00.0 GPU, Gen5 x16, trained so
//    |     +- 17:01.0 down, Gen5 x16: 19:00.0 NIC, Gen5 x16, trained x8
//    +- 15:02.0 root port, Gen4 x4: 1b:00.0 NVMe, Gen5 x4, trained Gen4
//    +- 15:03.0 NIC inside the package, no link
void putServer(const FakeSys& sys) {
  sys.put("devices/system/node/node0", {{"cpumap", "3"}});
  sys.put("devices/system/node/node1", {{"cpumap", "c"}});
  using Attributes = std::map<std::string, std::string>;
  const auto pci = [&](const std::string& path, const std::string& code, const std::string& speed,
                       const std::string& width, const std::string& most = "32.0 GT/s PCIe",
                       const std::string& lanes = "16") {
    Attributes attributes{{"class", code},
                          {"vendor", "0x10de\n"},
                          {"device", "0x2330\n"},
                          {"subsystem_vendor", "0x10de\n"},
                          {"subsystem_device", "0x16c1\n"},
                          {"numa_node", "1\n"}};
    if (!speed.empty())
      attributes.insert({{"current_link_speed", speed + "\n"},
                         {"current_link_width", width + "\n"},
                         {"max_link_speed", most + "\n"},
                         {"max_link_width", lanes + "\n"}});
    sys.pci(path, attributes);
  };
  const std::string root = "pci0000:15/0000:15:01.0";
  const std::string up = root + "/0000:16:00.0";
  pci(root, kBridgeClass, "32.0 GT/s PCIe", "16");
  pci(up, kBridgeClass, "32.0 GT/s PCIe", "16");
  pci(up + "/0000:17:00.0", kBridgeClass, "32.0 GT/s PCIe", "16");
  pci(up + "/0000:17:01.0", kBridgeClass, "32.0 GT/s PCIe", "8");
  pci(up + "/0000:17:00.0/0000:18:00.0", "0x030200\n", "32.0 GT/s PCIe", "16");
  pci(up + "/0000:17:01.0/0000:19:00.0", "0x020700\n", "32.0 GT/s PCIe", "8");
  pci("pci0000:15/0000:15:02.0", kBridgeClass, "16.0 GT/s PCIe", "4", "16.0 GT/s PCIe", "4");
  pci("pci0000:15/0000:15:02.0/0000:1b:00.0", "0x010802\n", "16 GT/s", "4", "32 GT/s", "4");
  pci("pci0000:15/0000:15:03.0", "0x020000\n", "", "");
}

TEST(SysfsPci, PutsDevicesBelowTheirSwitch) {
  const FakeSys sys;
  putServer(sys);
  const Finding finding = look("sysfs PCI", sys);
  const Inventory& machine = finding.inventory;
  EXPECT_EQ(machine.pci.size(), 5U) << "root ports and downstream ports are left out";
  EXPECT_EQ(switchAbove(machine, "18:00.0"), "0000:16:00.0");
  EXPECT_EQ(switchAbove(machine, "19:00.0"), "0000:16:00.0");
  for (const char* top : {"16:00.0", "1b:00.0", "15:03.0"})
    EXPECT_EQ(switchAbove(machine, top), "");
  ASSERT_EQ(machine.cpus.size(), 1U);
  EXPECT_EQ(machine.cpus[0].numa, 1);
  EXPECT_THAT(finding.remarks, IsEmpty());
}

TEST(SysfsPci, TellsWhatDevicesAre) {
  const FakeSys sys;
  putServer(sys);
  const Inventory machine = look("sysfs PCI", sys).inventory;
  const PciDevice& gpu = device(machine, "18:00.0");
  EXPECT_EQ(gpu.classCode, 0x030200U);
  EXPECT_EQ(gpu.vendor, 0x10de);
  EXPECT_EQ(gpu.device, 0x2330);
  EXPECT_EQ(gpu.subsystemVendor, 0x10de);
  EXPECT_EQ(gpu.subsystemDevice, 0x16c1);
  EXPECT_EQ(device(machine, "1b:00.0").classCode, 0x010802U);
}

TEST(SysfsPci, TellsLinksAsTrainedAndAsBothEndsCould) {
  const FakeSys sys;
  putServer(sys);
  const Inventory machine = look("sysfs PCI", sys).inventory;
  EXPECT_EQ(device(machine, "18:00.0").link, link(32, 16));
  EXPECT_EQ(device(machine, "18:00.0").capable, link(32, 16));
  EXPECT_EQ(device(machine, "19:00.0").link, link(32, 8));
  EXPECT_EQ(device(machine, "19:00.0").capable, link(32, 16));
  EXPECT_EQ(device(machine, "1b:00.0").link, link(16, 4));
  EXPECT_EQ(device(machine, "1b:00.0").capable, link(16, 4)) << "the port above has no more";
  EXPECT_EQ(device(machine, "15:03.0").link, PcieLink{});
  EXPECT_EQ(device(machine, "15:03.0").capable, PcieLink{});
}

TEST(SysfsPci, KnowsNoMoreThanIsTold) {
  const FakeSys sys;
  sys.pci("pci0000:00/0000:00:01.0", {{"class", "0x030000"},
                                      {"current_link_speed", "Unknown"},
                                      {"current_link_width", "255"},
                                      {"max_link_speed", ""},
                                      {"max_link_width", "-1"},
                                      {"vendor", "10de"},
                                      {"device", "0x123456789"},
                                      {"numa_node", "-1"}});
  sys.pci("pci0000:00/0000:00:02.0", {{"current_link_speed", "1e99 GT/s"},
                                      {"current_link_width", "16 lanes"},
                                      {"max_link_speed", "8.0 MT/s"},
                                      {"class", "nonsense"}});
  std::filesystem::create_directories(sys.root() / "bus/pci/devices/no bus id");
  const Finding finding = look("sysfs PCI", sys);
  ASSERT_EQ(finding.inventory.pci.size(), 2U);
  for (const PciDevice& one : finding.inventory.pci) {
    EXPECT_EQ(one.link, PcieLink{});
    EXPECT_EQ(one.capable, PcieLink{});
    EXPECT_EQ(one.vendor, std::nullopt);
    EXPECT_EQ(one.device, std::nullopt);
    EXPECT_EQ(finding.inventory.cpus[static_cast<std::size_t>(one.cpu)].numa, 0);
  }
  EXPECT_THAT(finding.remarks, IsEmpty()) << "without NUMA there is nothing to be near to";
}

TEST(SysfsPci, SaysWhereTheFirmwareDoesNotTellTheNode) {
  const FakeSys sys;
  for (const char* node : {"node2", "node4"})
    sys.put("devices/system/node/" + std::string(node), {});
  for (const char* id : {"0000:00:01.0", "0000:00:02.0"})
    sys.pci("pci0000:00/" + std::string(id), {{"class", "0x020000"}, {"numa_node", "-1\n"}});
  const Finding finding = look("sysfs PCI", sys);
  ASSERT_EQ(finding.remarks.size(), 1U);
  EXPECT_THAT(finding.remarks[0], HasSubstr("0000:00:01.0"));
  EXPECT_THAT(finding.remarks[0], HasSubstr("2 devices"));
  EXPECT_EQ(finding.inventory.cpus[0].numa, 2);
}

// An NVMe disk behind Intel's volume management device, which is a root of PCI of its own.
TEST(SysfsPci, StartsAgainBelowARootWithinPci) {
  const FakeSys sys;
  const std::string root = "pci0000:64/0000:64:00.5/pci10000:00/10000:00:02.0";
  sys.pci("pci0000:64/0000:64:00.5", {{"class", "0x010400"}, {"numa_node", "0"}});
  sys.pci(root, {{"class", kBridgeClass}, {"numa_node", "0"}});
  sys.pci(root + "/10000:01:00.0", {{"class", "0x010802"}, {"numa_node", "0"}});
  const Inventory machine = look("sysfs PCI", sys).inventory;
  EXPECT_EQ(machine.pci.size(), 2U);
  EXPECT_EQ(switchAbove(machine, "10000:01:00.0"), "");
}

TEST(SysfsPci, SaysWhyThereIsNothing) {
  const FakeSys sys;
  EXPECT_THAT(look("sysfs PCI", sys).absent, HasSubstr("bus/pci/devices: no PCI device"));
}

// A hypervisor's root port claims Gen1 x1, and the GPU behind it runs at Gen5 x16.
TEST(CapableLink, IsNeverLessThanWhatIs) {
  using sysfs::capableLink;
  EXPECT_EQ(capableLink(link(32, 16), link(2.5, 1), link(32, 16)), link(32, 16));
  EXPECT_EQ(capableLink(link(32, 16), link(16, 8), link(8, 4)), link(16, 8));
  EXPECT_EQ(capableLink(link(32, 16), {}, {}), link(32, 16));
  EXPECT_EQ(capableLink({}, link(32, 16), link(32, 16)), PcieLink{});
}

//  18:00.0 mlx5_0: InfiniBand, port 1 up at 400 Gb/s, port 2 down; its interface ib0
//  19:00.0 mlx5_1: Ethernet, 200 Gb/s; its interface ens3np0
//  1a:00.0 eno1, 10 Gb/s; 1b:00.0 eno2, down
//  00:03.0 virtio-net eth0; usb0 behind 00:14.0; lo, docker0 and bond0 are no devices
void putNetwork(const FakeSys& sys) {
  const auto pci = [&](const std::string& id) {
    sys.pci("pci0000:00/" + id, {{"class", "0x020000"}, {"numa_node", "0"}});
    return "devices/pci0000:00/" + id;
  };
  const auto interface = [&](const std::string& name, const std::string& at,
                             const std::string& speed, const std::string& state) {
    sys.put("class/net/" + name, {{"speed", speed}, {"operstate", state}});
    if (!at.empty()) sys.link("class/net/" + name + "/device", at);
  };
  const std::string first = pci("0000:18:00.0"), second = pci("0000:19:00.0");
  sys.put("class/infiniband/mlx5_0",
          {{"node_guid", "946d:ae03:001e:194a\n"}, {"sys_image_guid", "946d:ae03:001e:1948\n"}});
  sys.put("class/infiniband/mlx5_0/ports/1", {{"rate", "400 Gb/sec (4X NDR)\n"},
                                              {"state", "4: ACTIVE\n"},
                                              {"link_layer", "InfiniBand\n"}});
  sys.put("class/infiniband/mlx5_0/ports/2",
          {{"rate", "10 Gb/sec (4X SDR)\n"}, {"state", "1: DOWN\n"}});
  sys.put("class/infiniband/mlx5_0/ports/no number", {});
  sys.link("class/infiniband/mlx5_0/device", first);
  sys.put("class/infiniband/mlx5_1", {{"node_guid", "b8ce:f603:0000:0001"}});
  sys.put("class/infiniband/mlx5_1/ports/1",
          {{"rate", "2.5 Gb/sec (1X SDR)"}, {"state", "4: ACTIVE"}});
  sys.link("class/infiniband/mlx5_1/device", second);
  interface("ib0", first, "400000", "up");
  interface("ens3np0", second, "200000", "up");
  interface("eno1", pci("0000:1a:00.0"), "10000\n", "up\n");
  interface("eno2", pci("0000:1b:00.0"), "-1\n", "down\n");
  sys.put(pci("0000:00:03.0") + "/virtio2", {});
  interface("eth0", "devices/pci0000:00/0000:00:03.0/virtio2", "-1", "unknown");
  sys.put(pci("0000:00:14.0") + "/usb1/1-1/1-1:1.0", {});
  interface("usb0", "devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1:1.0", "425", "up");
  for (const char* none : {"lo", "docker0", "bond0"}) interface(none, "", "10000", "up");
}

const Nic& nic(const Inventory& inventory, std::string_view name, int port = 0) {
  for (const Nic& one : inventory.nics)
    if (one.name == name && one.port == port) return one;
  throw std::runtime_error("no NIC " + std::string(name));
}

TEST(Network, HasPortsOfRdmaDevicesAndNotTheirInterfaces) {
  const FakeSys sys;
  putNetwork(sys);
  const Inventory machine = look("network", sys).inventory;
  const Nic& first = nic(machine, "mlx5_0", 1);
  EXPECT_EQ(first.speed, Bandwidth::megabitsPerSecond(400'000));
  EXPECT_EQ(first.up, true);
  EXPECT_EQ(first.guid, "0x48191e0003ae6d94") << "of the card, not of the function";
  EXPECT_EQ(first.other, (Attributes{{"link_layer", "InfiniBand"}}));
  EXPECT_EQ(machine.pci[static_cast<std::size_t>(first.pci)].id, *parseBusId("18:00.0"));
  const Nic& second = nic(machine, "mlx5_0", 2);
  EXPECT_EQ(second.up, false);
  EXPECT_FALSE(second.speed.known()) << "a port without link has no rate";
  EXPECT_EQ(second.pci, first.pci);
  EXPECT_EQ(nic(machine, "mlx5_1", 1).speed, Bandwidth::megabitsPerSecond(2500));
  EXPECT_EQ(nic(machine, "mlx5_1", 1).guid, "0x100000003f6ceb8");
  EXPECT_EQ(machine.nics.size(), 6U);
}

TEST(Network, HasInterfacesOfPciDevices) {
  const FakeSys sys;
  putNetwork(sys);
  const Inventory machine = look("network", sys).inventory;
  EXPECT_EQ(nic(machine, "eno1").speed, Bandwidth::megabitsPerSecond(10'000));
  EXPECT_EQ(nic(machine, "eno1").up, true);
  EXPECT_FALSE(nic(machine, "eno2").speed.known());
  EXPECT_EQ(nic(machine, "eno2").up, false);
  const Nic& virtio = nic(machine, "eth0");
  EXPECT_EQ(machine.pci[static_cast<std::size_t>(virtio.pci)].id, *parseBusId("00:03.0"));
  EXPECT_EQ(virtio.up, std::nullopt);
}

TEST(Network, SaysWhyThereIsNothing) {
  const FakeSys sys;
  EXPECT_THAT(look("network", sys).absent, HasSubstr("class/net has a card"));
  sys.put("class/net/lo", {{"operstate", "unknown"}});
  EXPECT_THAT(look("network", sys).absent, HasSubstr("class/net has a card"));
}

TEST(Discover, JoinsWhatTheProbesKnow) {
  const FakeSys sys;
  putServer(sys);
  sys.put("class/infiniband/mlx5_0/ports/1",
          {{"rate", "400 Gb/sec (4X NDR)"}, {"state", "4: ACTIVE"}});
  sys.link("class/infiniband/mlx5_0/device", "bus/pci/devices/0000:19:00.0");
  const Discovery discovery = discover(sys.surroundings());
  requireSound(discovery.inventory);
  ASSERT_EQ(discovery.inventory.nics.size(), 1U);
  const auto pci = static_cast<std::size_t>(discovery.inventory.nics[0].pci);
  EXPECT_EQ(discovery.inventory.pci[pci].link, link(32, 8));
  EXPECT_EQ(switchAbove(discovery.inventory, "19:00.0"), "0000:16:00.0");
  for (const ProbeReport& report : discovery.reports)
    if (report.name == "hwloc") {
      EXPECT_NE(report.absent, "") << "it would show this machine";
    }
}

TEST(Merge, CompletesAClassByItsProgrammingInterface) {
  Inventory coarse, fine;
  coarse.pci.emplace_back().classCode = 0x010800;
  fine.pci.emplace_back().classCode = 0x010802;
  EXPECT_EQ(merge(coarse, fine).pci[0].classCode, 0x010802U);
  EXPECT_EQ(merge(fine, coarse).pci[0].classCode, 0x010802U);
  fine.pci[0].classCode = 0x020000;
  EXPECT_EQ(merge(coarse, fine).pci[0].classCode, 0x010800U);
}

TEST(Sysfs, ReadsWhatCanBeRead) {
  const FakeSys sys;
  sys.put("some", {{"long", std::string(10'000, 'x')},
                   {"blanks", " \n\t"},
                   {"empty", ""},
                   {"trimmed", "\n 4: ACTIVE\t\n"},
                   {"huge", "99999999999"}});
  ASSERT_EQ(::mkfifo((sys.root() / "some/fifo").c_str(), 0600), 0);
  EXPECT_EQ(sysfs::text(sys.root() / "some/long")->size(), 4096U);
  EXPECT_EQ(sysfs::text(sys.root() / "some/trimmed"), "4: ACTIVE");
  for (const char* none : {"blanks", "empty", "missing", "fifo", "", "long/deeper"})
    EXPECT_EQ(sysfs::text(sys.root() / "some" / none), std::nullopt) << none;
  EXPECT_EQ(sysfs::number(sys.root() / "some/huge"), std::nullopt);
  EXPECT_THAT(sysfs::names(sys.root() / "some/long"), IsEmpty());
}

TEST(Sysfs, EndlessLinksLeadNowhere) {
  const FakeSys sys;
  sys.link("devices/0000:01:00.0", "devices/0000:02:00.0");
  sys.link("devices/0000:02:00.0", "devices/0000:01:00.0");
  EXPECT_THAT(sysfs::pciChain(sys.root() / "devices/0000:01:00.0"), IsEmpty());
}

}  // namespace
}  // namespace lockstep::topology
