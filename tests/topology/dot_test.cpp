// Machines for Graphviz.
#include "topology/writers/dot.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "topology/drawn_machines.hpp"

namespace lockstep::topology {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

//  NUMA 0: switch - GPU0, mlx5_0; GPU1 at the CPU; 4 NVLinks between both
Inventory tiny() {
  Inventory machine;
  machine.source = "tiny";
  const int cpu = drawn::addCpu(machine, 0);
  const int above = drawn::addPci(machine, cpu, kNone, 1, pci_class::kBridge, 4);
  drawn::addGpu(machine, cpu, above, 2);
  drawn::addNic(machine, cpu, above, 3, "mlx5_0");
  drawn::addGpu(machine, cpu, kNone, 4);
  drawn::linkGpus(machine, 0, 1, 4);
  return machine;
}

TEST(Dot, DrawsATinyMachine) {
  EXPECT_EQ(writeDot(Graph(tiny())), R"(digraph topology {
  label="tiny"; labelloc=t; fontname="Helvetica";
  node [shape=box, style="rounded,filled", fontname="Helvetica"];
  edge [fontname="Helvetica", fontsize=10];
  subgraph cluster_0 {
    label="NUMA 0";
    n0 [label="NUMA 0\nIntel(R) Xeon(R) Platinum 8480C", fillcolor="#fbe3c0"];
    n1 [label="PCIe switch 0000:01:00.0", fillcolor="#ececec"];
    n2 [label="GPU0\nNVIDIA H100 80GB HBM3", fillcolor="#d5ebb5"];
    n3 [label="GPU1\nNVIDIA H100 80GB HBM3", fillcolor="#d5ebb5"];
    n4 [label="mlx5_0", fillcolor="#cfe3f7"];
  }
  n0 -> n1 [label="x16 Gen4 27.5 GB/s", color="#808080", dir=none];
  n1 -> n2 [label="x16 Gen5 55.0 GB/s", color="#808080", dir=none];
  n0 -> n3 [label="x16 Gen5 55.0 GB/s", color="#808080", dir=none];
  n1 -> n4 [label="x16 Gen5 55.0 GB/s", color="#808080", dir=none];
  n2 -> n3 [label="NV4 82.4 GB/s", color="#4b7a00", dir=none];
}
)");
}

TEST(Dot, DrawsDirectionsWhereTheyDiffer) {
  Inventory machine = tiny();
  machine.gpus[1].links[0].count = 3;
  const std::string text = writeDot(Graph(machine));
  EXPECT_THAT(text, HasSubstr(R"(n2 -> n3 [label="NV4 82.4 GB/s", color="#4b7a00"];)"));
  EXPECT_THAT(text, HasSubstr(R"(n3 -> n2 [label="NV3 61.8 GB/s", color="#4b7a00"];)"));
  machine.gpus[1].links.clear();
  EXPECT_THAT(writeDot(Graph(machine)), Not(HasSubstr("n3 -> n2")));
}

TEST(Dot, KeepsHostsApart) {
  const std::string text = writeDot(Graph(drawn::rack()));
  EXPECT_THAT(text, HasSubstr("subgraph cluster_host17 {\n    label=\"host17\";\n"));
  EXPECT_THAT(text, HasSubstr(R"([label="network", shape=ellipse, fillcolor="#ffffff"])"));
}

TEST(Dot, EscapesNames) {
  Inventory machine = tiny();
  machine.nics[0].name = "a\"b\\n\n\xff];";
  EXPECT_THAT(writeDot(Graph(machine)),
              HasSubstr("n4 [label=\"a\\\"b\\\\n\ufffd\ufffd];\", fillcolor"));
}

TEST(Dot, DrawsNothingOfNothing) {
  EXPECT_THAT(writeDot(Graph(Inventory())), HasSubstr("digraph topology {"));
}

}  // namespace
}  // namespace lockstep::topology
