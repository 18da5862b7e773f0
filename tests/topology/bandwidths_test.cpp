// How fast links are: the published figures.
#include "topology/graph/bandwidths.hpp"

#include <gtest/gtest.h>

#include "topology/inventory/pcie.hpp"

namespace lockstep::topology {
namespace {

double pcie(int generation, int width) {
  return pcieBandwidth({pcieRate(generation), width}).gigabytesPerSecond();
}

TEST(Bandwidths, OfPcieDoubleWithEachGeneration) {
  EXPECT_NEAR(pcie(3, 16), 13.75, 1e-9);  // NCCL counts 12
  EXPECT_NEAR(pcie(4, 16), 27.5, 1e-9);
  EXPECT_NEAR(pcie(5, 16), 55.0, 1e-9);
  EXPECT_NEAR(pcie(6, 16), 110.0, 1e-9);
  EXPECT_NEAR(pcie(5, 8), 27.5, 1e-9);
  EXPECT_NEAR(pcie(2, 16), 6.875, 1e-9);  // 8 of 10 bits
  EXPECT_NEAR(pcie(1, 16), 3.4375, 1e-9);
}

TEST(Bandwidths, OfPcieAreNotKnownWithoutSpeedAndWidth) {
  EXPECT_FALSE(pcieBandwidth({}).known());
  EXPECT_FALSE(pcieBandwidth({pcieRate(5), 0}).known());
  EXPECT_FALSE(pcieBandwidth({pcieRate(5), -1}).known());
  EXPECT_FALSE(pcieBandwidth({TransferRate{}, 16}).known());
}

TEST(Bandwidths, KnowPcieGenerations) {
  for (int generation = 1; generation <= 7; ++generation)
    EXPECT_EQ(pcieGeneration(pcieRate(generation)), generation);
  EXPECT_EQ(pcieGeneration(TransferRate::gigatransfers(33)), 0);
  EXPECT_EQ(pcieGeneration({}), 0);
  EXPECT_FALSE(pcieRate(0).known());
  EXPECT_FALSE(pcieRate(8).known());
}

TEST(Bandwidths, OfNvlinkGrowWithTheGpu) {
  const auto one = [](int sm) { return nvlinkBandwidth(sm).gigabytesPerSecond(); };
  EXPECT_NEAR(one(60), 18.0, 1e-9);
  EXPECT_NEAR(one(70), 20.0, 1e-9);
  EXPECT_NEAR(one(80), 20.0, 1e-9);
  EXPECT_NEAR(one(86), 12.0, 1e-9);
  EXPECT_NEAR(one(90) * 18, 370.8, 1e-9);
  EXPECT_NEAR(one(100) * 18, 721.8, 1e-9);
  EXPECT_NEAR(one(103) * 18, 721.8, 1e-9);
  EXPECT_FALSE(nvlinkBandwidth(0).known());
}

TEST(Bandwidths, OfXgmiAreThoseOfRccl) {
  EXPECT_NEAR(xgmiBandwidth("gfx942").gigabytesPerSecond(), 48.0, 1e-9);
  EXPECT_NEAR(xgmiBandwidth("gfx950").gigabytesPerSecond(), 61.0, 1e-9);
  EXPECT_NEAR(xgmiBandwidth("gfx90a").gigabytesPerSecond(), 36.0, 1e-9);
  EXPECT_NEAR(xgmiBandwidth("906").gigabytesPerSecond(), 24.0, 1e-9);
}

Cpu cpu(const char* arch, const char* vendor, int family = kNone, int model = kNone) {
  Cpu made;
  made.arch = arch;
  made.vendor = vendor;
  made.familyId = family;
  made.modelId = model;
  return made;
}

TEST(Bandwidths, BetweenCpusAreThoseOfTheirGeneration) {
  const auto both = [](const Cpu& each) { return interCpuBandwidth(each, each); };
  EXPECT_NEAR(both(cpu("x86_64", "GenuineIntel", 6, 79)).gigabytesPerSecond(), 6.0, 1e-9);
  EXPECT_NEAR(both(cpu("x86_64", "GenuineIntel", 6, 85)).gigabytesPerSecond(), 10.0, 1e-9);
  EXPECT_NEAR(both(cpu("x86_64", "GenuineIntel", 6, 143)).gigabytesPerSecond(), 22.0, 1e-9);
  EXPECT_NEAR(both(cpu("x86_64", "GenuineIntel", 6, 207)).gigabytesPerSecond(), 40.0, 1e-9);
  // Ice Lake, and those that came later with lower numbers: Granite Rapids, Sierra Forest.
  EXPECT_NEAR(both(cpu("x86_64", "GenuineIntel", 6, 0x6a)).gigabytesPerSecond(), 10.0, 1e-9);
  EXPECT_NEAR(both(cpu("x86_64", "GenuineIntel", 6, 0xad)).gigabytesPerSecond(), 40.0, 1e-9);
  EXPECT_NEAR(both(cpu("x86_64", "GenuineIntel", 6, 0xaf)).gigabytesPerSecond(), 40.0, 1e-9);
  EXPECT_FALSE(both(cpu("x86_64", "GenuineIntel", 19, 1)).known());
  EXPECT_NEAR(both(cpu("x86_64", "AuthenticAMD", 23, 49)).gigabytesPerSecond(), 16.0, 1e-9);
  EXPECT_NEAR(both(cpu("ppc64", "")).gigabytesPerSecond(), 32.0, 1e-9);
  EXPECT_NEAR(both(cpu("arm64", "")).gigabytesPerSecond(), 6.0, 1e-9);
  EXPECT_NEAR(both(cpu("aarch64", "")).gigabytesPerSecond(), 6.0, 1e-9);
  EXPECT_FALSE(both(cpu("riscv64", "")).known());
}

TEST(Bandwidths, BetweenDifferentCpusAreTheSlowersOne) {
  const Cpu skylake = cpu("x86_64", "GenuineIntel", 6, 85);
  const Cpu sapphire = cpu("x86_64", "GenuineIntel", 6, 143);
  EXPECT_NEAR(interCpuBandwidth(skylake, sapphire).gigabytesPerSecond(), 10.0, 1e-9);
}

}  // namespace
}  // namespace lockstep::topology
