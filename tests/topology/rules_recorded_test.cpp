// What rules say of recorded and written machines, and of presets: nothing, where those are whole.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "topology/machine_files.hpp"
#include "topology/presets/preset.hpp"
#include "topology/rules_said.hpp"

namespace lockstep::topology {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// With what is only noted.
std::vector<std::string> saidOf(const std::string& path) {
  return said(readTopologyFile(path).inventory, Severity::note);
}

class RecordedMachine : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!isThere(recordedFile(""))) GTEST_SKIP() << "no recorded machines in " LOCKSTEP_SHARED_DIR;
  }
};

TEST_F(RecordedMachine, EightH100BehindNvSwitchesAreWhole) {
  EXPECT_THAT(saidOf(recordedFile("h100x8-nvswitch-baremetal.xml")), IsEmpty());
}

TEST_F(RecordedMachine, EightMi300LinkedByXgmiAreWhole) {
  EXPECT_THAT(saidOf(recordedFile("amd-8p-mi300-xgmi.xml")), IsEmpty());
}

TEST_F(RecordedMachine, EightAmdGpusOnPcieAreWhole) {
  EXPECT_THAT(saidOf(recordedFile("amd-8p-pcie.xml")), IsEmpty());
}

TEST_F(RecordedMachine, NvlinksThatLeadToThemselvesAreSuspicious) {
  EXPECT_THAT(saidOf(recordedFile("a100x4-pcie-nvlink-pairs.xml")),
              ElementsAre("warning nvlink-unusable: GPU0..GPU3 have 12 NVLinks each that lead back "
                          "to the GPU itself: a virtual machine hides the peers; left out of all "
                          "paths",
                          "note multicast: GPU0..GPU3 will have no NVLink multicast: it needs "
                          "sm_90, and these are sm_80"));
}

TEST_F(RecordedMachine, HintFilesHaveNoLinks) {
  const char* hint =
      "warning hint-without-links: GPU0..GPU7 are known only as PCI devices: no NVLinks, no "
      "compute capability, as in a provider's hint file";
  EXPECT_THAT(saidOf(recordedFile("a100x8-vm-hint.xml")), ElementsAre(hint));
  EXPECT_THAT(saidOf(recordedFile("p4d-a100x8-vm-hint.xml")), ElementsAre(hint));
}

constexpr const char* kVoltaHasNoMulticast =
    "will have no NVLink multicast: it needs sm_90, and these are sm_70";

TEST(WrittenMachine, WholeOnesAreAtMostNoted) {
  EXPECT_THAT(saidOf(writtenFile("hgx-b200.xml")), IsEmpty());
  EXPECT_THAT(saidOf(writtenFile("gb200-tray.xml")), IsEmpty());
  EXPECT_THAT(saidOf(writtenFile("dgx1-v100.xml")),
              ElementsAre(fmt::format("note multicast: GPU0..GPU7 {}", kVoltaHasNoMulticast)));
  for (const char* file : {"dgx-a100.xml", "pcie-only.xml"})
    EXPECT_THAT(said(readTopologyFile(writtenFile(file)).inventory, Severity::warning), IsEmpty())
        << file;
}

TEST(WrittenMachine, PlantedFaultsAreFound) {
  EXPECT_THAT(saidOf(writtenFile("h100x8-dead-nvlink.xml")),
              ElementsAre("error nvlink-missing: GPU3 has 17 NVLinks, where 7 peers have 18: 4 of "
                          "5 to NVSwitch2 (0000:07:00.0)"));
  EXPECT_THAT(
      saidOf(writtenFile("asymmetric-nvlinks.xml")),
      ElementsAre("error nvlink-asymmetric: GPU2 says it has 1 NVLink to GPU1, which says 2",
                  fmt::format("note multicast: GPU0..GPU3 {}", kVoltaHasNoMulticast)));
  EXPECT_THAT(saidOf(writtenFile("nic-on-wrong-numa.xml")),
              ElementsAre("warning nic-far: GPU2, GPU3 are on NUMA 1, where no NIC is: the nearest "
                          "are mlx5_0, mlx5_1 on NUMA 0, across the link between CPUs",
                          "note multicast: GPU0..GPU3 will have no NVLink multicast: no NVSwitch "
                          "joins the GPUs"));
}

TEST(PresetMachine, AreWhole) {
  EXPECT_FALSE(allPresets().empty());
  for (const Preset* preset : allPresets())
    EXPECT_THAT(said(preset->make(), Severity::warning), IsEmpty()) << preset->name;
}

}  // namespace
}  // namespace lockstep::topology
