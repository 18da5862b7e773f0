// Machine: read out of synthetic machines, and out of the one the test runs on.
#include "topology/machine.hpp"

#include <memory>
#include <thread>

#include <gtest/gtest.h>
#include <hwloc.h>
#include <sched.h>

namespace lockstep::topology {
namespace {

/// What `describe` makes of a machine in hwloc's synthetic notation.
Machine synthetic(const char* description) {
  hwloc_topology_t raw = nullptr;
  EXPECT_EQ(hwloc_topology_init(&raw), 0);
  const std::unique_ptr<hwloc_topology, decltype(&hwloc_topology_destroy)> topology(
      raw, &hwloc_topology_destroy);
  EXPECT_EQ(hwloc_topology_set_synthetic(raw, description), 0) << description;
  EXPECT_EQ(hwloc_topology_load(raw), 0);
  return describe(raw);
}

//  package 0                      package 1
//  [NUMA 0 | L3]  [NUMA 1 | L3]   [NUMA 2 | L3]  [NUMA 3 | L3]     each L3: 4 cores of 2 threads
TEST(Machine, CountsATwoPackageServer) {
  const Machine m = synthetic(
      "pack:2 numa:2 l3:1(size=33554432) l2:4(size=1048576) l1d:1(size=49152) core:1 pu:2");
  EXPECT_EQ(m.packages, 2);
  EXPECT_EQ(m.numaNodes, 4);
  EXPECT_EQ(m.cores, 16);
  EXPECT_EQ(m.threads, 32);
  EXPECT_EQ(m.allowedCores, 16);
  EXPECT_EQ(m.allowedThreads, 32);
  EXPECT_EQ(m.l1dBytes, 49152U);
  EXPECT_EQ(m.l2Bytes, 1048576U);
  EXPECT_EQ(m.l3Bytes, 33554432U);
  EXPECT_FALSE(m.l3SharedByAll);
}

TEST(Machine, SeesOneL3ForAll) {
  EXPECT_TRUE(synthetic("pack:1 l3:1 core:4 pu:1").l3SharedByAll);
  EXPECT_FALSE(synthetic("pack:1 l3:2 core:4 pu:1").l3SharedByAll);
}

TEST(Machine, FallsBackWhenNothingIsDescribed) {
  const Machine m = synthetic("pu:3");
  EXPECT_EQ(m.threads, 3);
  EXPECT_EQ(m.allowedThreads, 3);
  EXPECT_GE(m.cores, 1);
  EXPECT_EQ(m.packages, 1);
  EXPECT_EQ(m.numaNodes, 1);
  EXPECT_EQ(m.l1dBytes, 0U);
  EXPECT_EQ(m.l3Bytes, 0U);
  EXPECT_FALSE(m.l3SharedByAll);
  EXPECT_EQ(m.cpuModel, "unknown CPU");
}

TEST(Machine, ThisOneIsConsistent) {
  const Machine& m = thisMachine();
  EXPECT_EQ(&m, &thisMachine());
  EXPECT_FALSE(m.cpuModel.empty());
  EXPECT_FALSE(m.virtualization.empty());
  EXPECT_EQ(m.kernel.rfind("Linux ", 0), 0U) << m.kernel;
  EXPECT_GE(m.allowedCores, 1);
  EXPECT_LE(m.allowedCores, m.cores);
  EXPECT_LE(m.allowedThreads, m.threads);
  EXPECT_LE(m.cores, m.threads);
  EXPECT_LE(m.packages, m.cores);
  cpu_set_t mask;
  ASSERT_EQ(::sched_getaffinity(0, sizeof mask, &mask), 0);
  EXPECT_EQ(m.allowedThreads, CPU_COUNT(&mask));
}

TEST(Machine, FollowsTheAffinityMask) {
  cpu_set_t before;
  ASSERT_EQ(::sched_getaffinity(0, sizeof before, &before), 0);
  if (CPU_COUNT(&before) < 2) GTEST_SKIP() << "only one CPU is allowed already";
  hwloc_topology_t raw = nullptr;
  ASSERT_EQ(hwloc_topology_init(&raw), 0);
  ASSERT_EQ(hwloc_topology_load(raw), 0);
  cpu_set_t one;
  CPU_ZERO(&one);
  int first = 0;
  while (!CPU_ISSET(first, &before)) ++first;
  CPU_SET(first, &one);
  ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
  const Machine m = describe(raw);
  EXPECT_EQ(::sched_setaffinity(0, sizeof before, &before), 0);
  hwloc_topology_destroy(raw);
  EXPECT_EQ(m.allowedThreads, 1);
  EXPECT_EQ(m.allowedCores, 1);
}

}  // namespace
}  // namespace lockstep::topology
