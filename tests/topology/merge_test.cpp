// merge(): a hint file and the machine it is of, rows that refer to each other, several hosts.
#include "topology/inventory/merge.hpp"

#include <chrono>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "topology/readers/reader.hpp"
#include "topology/rows.hpp"
#include "topology/shared_machines.hpp"

namespace lockstep::topology {
namespace {

/// Merged, and sound.
Inventory merged(const Inventory& first, const Inventory& second) {
  Inventory result = merge(first, second);
  requireSound(result);
  return result;
}

const PciDevice& at(const Inventory& inventory, std::string_view id, const std::string& host = {}) {
  const int row = findPci(inventory, host, parseBusId(id).value());
  if (row == kNone) throw std::out_of_range(std::string(id));
  return inventory.pci[static_cast<std::size_t>(row)];
}

std::string parentOf(const Inventory& inventory, const PciDevice& device) {
  if (device.parent == kNone) return "none";
  return print(inventory.pci[static_cast<std::size_t>(device.parent)].id);
}

int numaOf(const Inventory& inventory, int cpu) {
  return cpu == kNone ? kNone : inventory.cpus[static_cast<std::size_t>(cpu)].numa;
}

//  what a cloud provider says        what the virtual machine shows
//  NUMA 0    NUMA 1                  NUMA 0, all of:
//  switch    switch                  GPU 1 == GPU 2    NIC 3   NIC 4   disk 9
//  GPU 2     GPU 1                   (NVLinks)
//  NIC 3     NIC 4
Inventory hint() {
  Inventory file;
  file.source = "hint.xml";
  file.cpus = {cpuRow(0), cpuRow(1)};
  file.pci = {pciRow("ffff:ff:01.0", 0, kNone, pci_class::kBridge),
              pciRow("02:00.0", 0, 0, pci_class::k3d),
              pciRow("03:00.0", 0, 0, pci_class::kInfiniband),
              pciRow("ffff:ff:02.0", 1, kNone, pci_class::kBridge),
              pciRow("01:00.0", 1, 3, pci_class::k3d),
              pciRow("04:00.0", 1, 3, pci_class::kInfiniband)};
  for (PciDevice& device : file.pci) device.link = {TransferRate::gigatransfers(16), 16};
  return file;
}

Inventory live() {
  Inventory machine;
  machine.source = "this machine";
  machine.cpus = {cpuRow(0)};
  machine.cpus[0].vendor = "AuthenticAMD";
  machine.pci = {pciRow("01:00.0", 0, kNone, pci_class::kVga), pciRow("02:00.0", 0),
                 pciRow("03:00.0", 0), pciRow("04:00.0", 0), pciRow("09:00.0", 0, kNone, 0x010802)};
  for (PciDevice& device : machine.pci) device.link = {TransferRate::gigatransfers(2.5), 1};
  machine.pci[0].vendor = 0x10de;
  machine.pci[0].name = "A100";
  machine.gpus = {gpuRow(0, 0), gpuRow(1, 1)};
  machine.gpus[0].links = {{GpuLinkKind::nvlink, *parseBusId("02:00.0"), 12, 0x030200, {}}};
  machine.gpus[0].peers = {{1, true, ""}};
  machine.gpus[1].peers = {{0, false, "chipset not supported"}};
  machine.nics = {nicRow("mlx5_0", 2, 0, 1), nicRow("mlx5_1", 3, 0, 1), nicRow("eth0", kNone, 0)};
  machine.driver.version = "570.1";
  machine.driver.lost = {{.number = 9, .id = {}, .reason = "gone"}};
  return machine;
}

TEST(Merge, AHintCorrectsWhatTheMachineShows) {
  const Inventory both = merged(hint(), live());
  EXPECT_EQ(both.source, "hint.xml");
  EXPECT_EQ(both.cpus.size(), 2U);
  EXPECT_EQ(both.cpus[0].vendor, "AuthenticAMD");
  ASSERT_EQ(both.pci.size(), 7U);
  const PciDevice& gpu = at(both, "01:00.0");
  EXPECT_EQ(parentOf(both, gpu), "ffff:ff:02.0");
  EXPECT_EQ(numaOf(both, gpu.cpu), 1);
  EXPECT_EQ(gpu.classCode, pci_class::k3d);
  EXPECT_EQ(gpu.vendor, 0x10de);
  EXPECT_EQ(gpu.name, "A100");
  EXPECT_DOUBLE_EQ(gpu.link.speed.gigatransfers(), 16);
  EXPECT_EQ(parentOf(both, at(both, "09:00.0")), "none");
  EXPECT_EQ(at(both, "09:00.0").cpu, 0);
  EXPECT_EQ(both.driver.version, "570.1");
  EXPECT_EQ(both.driver.lost.size(), 1U);
}

TEST(Merge, GpusAndNicsStandOnTheRowsOfTheHint) {
  const Inventory both = merged(hint(), live());
  ASSERT_EQ(both.gpus.size(), 2U);
  EXPECT_EQ(print(both.pci[static_cast<std::size_t>(both.gpus[0].pci)].id), "0000:01:00.0");
  EXPECT_EQ(print(both.pci[static_cast<std::size_t>(both.gpus[1].pci)].id), "0000:02:00.0");
  EXPECT_EQ(both.gpus[0].links, live().gpus[0].links);
  EXPECT_EQ(both.gpus[1].peers, live().gpus[1].peers);
  ASSERT_EQ(both.nics.size(), 3U);
  EXPECT_EQ(print(both.pci[static_cast<std::size_t>(both.nics[1].pci)].id), "0000:04:00.0");
  EXPECT_EQ(numaOf(both, both.nics[0].cpu), 0);
  EXPECT_EQ(numaOf(both, both.nics[1].cpu), 1) << "of its device, wherever that is now";
  EXPECT_EQ(both.nics[2].cpu, 0);
}

TEST(Merge, TheMachineFirstKeepsItsPlaces) {
  const Inventory both = merged(live(), hint());
  EXPECT_EQ(parentOf(both, at(both, "01:00.0")), "none");
  EXPECT_EQ(numaOf(both, at(both, "01:00.0").cpu), 0);
  EXPECT_DOUBLE_EQ(at(both, "01:00.0").link.speed.gigatransfers(), 2.5);
  EXPECT_EQ(at(both, "02:00.0").classCode, pci_class::k3d) << "it did not know";
  EXPECT_EQ(both.pci.size(), 7U);
  EXPECT_EQ(both.cpus.size(), 2U);
}

TEST(Merge, WithNothingOrItselfChangesNothing) {
  for (Inventory machine : {hint(), live()}) {
    machine.version = 2;
    EXPECT_EQ(merged({}, machine), machine);
    EXPECT_EQ(merged(machine, {}), machine);
    EXPECT_EQ(merged(machine, machine), machine);
  }
}

TEST(Merge, RecordedMachinesWithNothingOrThemselvesStayWhatTheyAre) {
  LOCKSTEP_NEED_SHARED_MACHINES();
  for (const std::string_view name : kSharedNcclXml) {
    const Inventory machine = readTopologyFile(sharedMachine(name)).inventory;
    EXPECT_EQ(merged({}, machine), machine) << name;
    EXPECT_EQ(merged(machine, machine), machine) << name;
  }
}

TEST(Merge, PeersFollowTheirGpus) {
  Inventory first = live();
  std::swap(first.gpus[0], first.gpus[1]);  // row 0 is the one at 02:00.0
  for (Gpu& gpu : first.gpus) gpu.peers.clear();
  const Inventory both = merged(first, live());
  EXPECT_EQ(both.gpus[0].peers, (std::vector<PeerAccess>{{1, false, "chipset not supported"}}));
  EXPECT_EQ(both.gpus[1].peers, (std::vector<PeerAccess>{{0, true, ""}}));
}

TEST(Merge, DevicesWithoutPlaceAreFoundByAddress) {
  Inventory driver;  // knows addresses, and no CPU
  driver.pci = {pciRow("02:00.0"), pciRow("05:00.0")};
  driver.gpus = {gpuRow(0, 7), gpuRow(1, 8)};
  const Inventory both = merged(hint(), driver);
  EXPECT_EQ(both.pci.size(), 7U);
  EXPECT_EQ(print(both.pci[static_cast<std::size_t>(both.gpus[0].pci)].id), "0000:02:00.0");
  EXPECT_EQ(at(both, "05:00.0").cpu, kNone);
  const Inventory other = merged(driver, hint());
  EXPECT_EQ(other.pci.size(), 7U);
  EXPECT_EQ(parentOf(other, at(other, "02:00.0")), "ffff:ff:01.0");
  EXPECT_EQ(numaOf(other, at(other, "02:00.0").cpu), 0);
}

TEST(Merge, ParentsComeFirstThoughTheyAreToldLater) {
  Inventory first;
  first.cpus = {cpuRow(0)};
  first.pci = {pciRow("03:00.0"), pciRow("02:00.0")};
  first.gpus = {gpuRow(0, 0)};
  first.nics = {nicRow("eth0", 1)};
  Inventory second;
  second.cpus = {cpuRow(0)};
  second.pci = {pciRow("01:00.0", 0), pciRow("02:00.0", 0, 0), pciRow("03:00.0", 0, 1)};
  const Inventory both = merged(first, second);
  EXPECT_EQ(parentOf(both, at(both, "03:00.0")), "0000:02:00.0");
  EXPECT_EQ(parentOf(both, at(both, "02:00.0")), "0000:01:00.0");
  EXPECT_EQ(print(both.pci[static_cast<std::size_t>(both.gpus[0].pci)].id), "0000:03:00.0");
  EXPECT_EQ(print(both.pci[static_cast<std::size_t>(both.nics[0].pci)].id), "0000:02:00.0");
}

//  first: 01 above 02 above 03, on no CPU;  second: 03 above 01
TEST(Merge, OfACycleTheSecondIsNotBelieved) {
  Inventory first;
  first.pci = {pciRow("01:00.0"), pciRow("02:00.0", kNone, 0), pciRow("03:00.0", kNone, 1)};
  Inventory second;
  second.cpus = {cpuRow(0)};
  second.pci = {pciRow("03:00.0", 0), pciRow("01:00.0", 0, 0)};
  const Inventory both = merged(first, second);
  EXPECT_EQ(parentOf(both, at(both, "01:00.0")), "none");
  EXPECT_EQ(parentOf(both, at(both, "02:00.0")), "0000:01:00.0");
  EXPECT_EQ(parentOf(both, at(both, "03:00.0")), "0000:02:00.0");
  EXPECT_EQ(at(both, "01:00.0").cpu, 0);
  EXPECT_EQ(at(both, "03:00.0").cpu, 0);
}

TEST(Merge, ADeviceIsNotItsOwnParent) {
  Inventory first;
  first.pci = {pciRow("01:00.0")};
  Inventory second;
  second.cpus = {cpuRow(0)};
  second.pci = {pciRow("01:00.0", 0), pciRow("01:00.0", 0, 0)};
  EXPECT_EQ(parentOf(merged(first, second), merged(first, second).pci[0]), "none");
}

TEST(Merge, WhatIsBelowASwitchIsOnItsCpu) {
  Inventory second = live();
  second.cpus = {cpuRow(0)};
  second.pci = {pciRow("ffff:ff:02.0", 0), pciRow("05:00.0", 0, 0)};
  second.gpus = {};
  second.nics = {nicRow("mlx5_5", 1, 0)};
  const Inventory both = merged(hint(), second);
  EXPECT_EQ(parentOf(both, at(both, "05:00.0")), "ffff:ff:02.0");
  EXPECT_EQ(numaOf(both, at(both, "05:00.0").cpu), 1) << "the hint has that switch on NUMA 1";
  EXPECT_EQ(numaOf(both, both.nics.back().cpu), 1);
}

Inventory hosts(const std::vector<std::string>& names) {
  Inventory machines;
  for (const std::string& name : names) {
    const int cpu = static_cast<int>(machines.cpus.size());
    machines.cpus.push_back(cpuRow(0, name));
    machines.pci.push_back(pciRow("01:00.0", cpu));
    machines.pci.back().name = "device of " + name;
    machines.gpus.push_back(gpuRow(cpu));
    machines.nics.push_back(nicRow("mlx5_0", kNone, cpu));
    machines.nics.back().guid = "nic of " + name;
  }
  return machines;
}

/// Hosts in order, and what is on each.
std::string told(const Inventory& inventory) {
  std::string text;
  for (std::size_t row = 0; row < inventory.cpus.size(); ++row) {
    text += fmt::format("[{}]", inventory.cpus[row].host);
    for (const PciDevice& device : inventory.pci)
      if (device.cpu == static_cast<int>(row)) text += " " + device.name;
    for (const Nic& nic : inventory.nics)
      if (nic.cpu == static_cast<int>(row)) text += ", " + nic.guid;
    text += "; ";
  }
  return text;
}

TEST(Merge, HostsAreKeptApart) {
  EXPECT_EQ(told(merged(hosts({"a", "b"}), hosts({"b", "c"}))),
            "[a] device of a, nic of a; [b] device of b, nic of b; [c] device of c, nic of c; ");
}

TEST(Merge, AMachineWithoutANameIsTheOtherSourcesFirst) {
  EXPECT_EQ(told(merged(hosts({""}), hosts({"a", "b"}))),
            "[a] device of , nic of ; [b] device of b, nic of b; ");
  EXPECT_EQ(told(merged(hosts({"a", "b"}), hosts({""}))),
            "[a] device of a, nic of a; [b] device of b, nic of b; ");
  EXPECT_EQ(told(merged(hosts({"", "a"}), hosts({"a", "b"}))),
            "[b] device of , nic of ; [a] device of a, nic of a; ");
  EXPECT_EQ(told(merged(hosts({"", "a"}), hosts({"", "b"}))),
            "[] device of , nic of ; [a] device of a, nic of a; [b] device of b, nic of b; ");
}

TEST(Merge, ANewNodeOfANamelessMachineHasItsName) {
  Inventory second = hosts({""});
  second.cpus[0].numa = 1;
  const Inventory both = merged(hosts({"a"}), second);
  ASSERT_EQ(both.cpus.size(), 2U);
  EXPECT_EQ(both.cpus[1].host, "a");
}

TEST(Merge, PortsOfOneCardAreTwo) {
  Inventory first;
  first.nics = {nicRow("mlx5_0")};
  Inventory second;
  second.nics = {nicRow("mlx5_0", kNone, kNone, 1), nicRow("mlx5_1", kNone, kNone, 1)};
  EXPECT_EQ(merged(first, second).nics.size(), 2U);
  EXPECT_EQ(merged(first, second).nics[0].port, 1);
  first.nics[0].port = 2;
  EXPECT_EQ(merged(first, second).nics.size(), 3U);
}

TEST(Merge, ManyRowsTakeLittleTime) {
  constexpr int kRows = 50'000;
  Inventory many;
  for (int i = 0; i < kRows; ++i) {
    many.cpus.push_back(cpuRow(0, fmt::format("{}{}", std::string(100, 'h'), i)));
    many.pci.push_back(pciRow(fmt::format("{:x}:0:0.0", i), 0, i - 1));
    many.gpus.push_back(gpuRow(i));
    many.nics.push_back(nicRow("eth0", i, 0, i));
  }
  Inventory reversed;  // the same devices, upside down
  reversed.cpus = {cpuRow(0)};
  for (int i = 0; i < kRows; ++i)
    reversed.pci.push_back(pciRow(fmt::format("{:x}:0:0.0", kRows - 1 - i), 0, i - 1));
  const auto begin = std::chrono::steady_clock::now();
  merged(many, many);
  merged(many, reversed);
  merged(reversed, many);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  EXPECT_LT(took.count(), 60);  // some 0.5 s; each row with each would be many minutes
}

}  // namespace
}  // namespace lockstep::topology
