// Pictures of machines: well formed, complete, and without a text over another.
#include "topology/writers/svg.hpp"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pugixml.hpp>

#include "topology/drawn_machines.hpp"
#include "topology/presets/preset.hpp"
#include "topology/readers/reader.hpp"
#include "topology/shared_machines.hpp"
#include "topology/writers/svg/canvas.hpp"
#include <lockstep/error.hpp>

namespace lockstep::topology {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct Text {
  std::string text;
  double left, right, top, bottom;

  bool overlaps(const Text& other) const {
    return left < other.right && other.left < right && top < other.bottom && other.top < bottom;
  }
};

struct Picture {
  double width = 0, height = 0;
  std::vector<Text> texts;
  std::vector<std::string> titles;
};

Text textAt(const pugi::xml_node& node) {
  const svg::Font font{.size = node.attribute("font-size").as_double(),
                       .bold = !node.attribute("font-weight").empty()};
  const std::string text = node.text().get();
  const double width = svg::textWidth(text, font);
  const double x = node.attribute("x").as_double();
  const double y = node.attribute("y").as_double();
  const bool middle = !node.attribute("text-anchor").empty();
  const double left = middle ? x - width / 2 : x;
  return {text, left, left + width, y - 0.75 * font.size, y + 0.2 * font.size};
}

Picture parse(const std::string& svg) {
  pugi::xml_document document;
  const pugi::xml_parse_result result = document.load_string(svg.c_str(), pugi::parse_full);
  EXPECT_TRUE(result) << result.description();
  const pugi::xml_node root = document.child("svg");
  Picture picture{
      root.attribute("width").as_double(), root.attribute("height").as_double(), {}, {}};
  for (const pugi::xml_node& node : root.children()) {
    const std::string kind = node.name();
    EXPECT_TRUE(kind == "rect" || kind == "path" || kind == "text" || kind == "title") << kind;
    if (kind == "text") picture.texts.push_back(textAt(node));
    if (const pugi::xml_node title = node.child("title"))
      picture.titles.emplace_back(title.text().get());
  }
  return picture;
}

void expectReadable(const Picture& picture) {
  for (std::size_t i = 0; i < picture.texts.size(); ++i) {
    const Text& text = picture.texts[i];
    EXPECT_TRUE(text.left >= 0 && text.right <= picture.width && text.top >= 0 &&
                text.bottom <= picture.height)
        << text.text << " is not all in the picture";
    for (std::size_t j = i + 1; j < picture.texts.size(); ++j)
      EXPECT_FALSE(text.overlaps(picture.texts[j]))
          << text.text << " over " << picture.texts[j].text;
  }
}

bool shows(const Picture& picture, const std::string& name) {
  for (const Text& text : picture.texts)
    if (text.text == name) return true;
  // Where there are several hosts, their names stand beside.
  for (const std::string& title : picture.titles)
    if (title == name || title.starts_with(name + ",")) return true;
  return false;
}

class Svg : public ::testing::TestWithParam<Inventory (*)()> {};

TEST_P(Svg, ShowsAllDevicesAndNoTextOverAnother) {
  const Graph graph(GetParam()());
  const std::string svg = writeSvg(graph);
  const Picture picture = parse(svg);
  expectReadable(picture);
  for (const NodeKind kind : {NodeKind::gpu, NodeKind::nic, NodeKind::nvSwitch})
    for (const NodeId id : graph.ofKind(kind))
      EXPECT_TRUE(shows(picture, graph.node(id).name)) << graph.node(id).name;
  EXPECT_THAT(svg, Not(HasSubstr("<script")));
  EXPECT_THAT(svg, Not(HasSubstr("href")));
  EXPECT_EQ(svg.find("http"), svg.rfind("http"));  // the name space
}

Inventory nothing() {
  return {};
}

//  No source says where anything is.
Inventory homeless() {
  Inventory machine = drawn::nvSwitchNode();
  machine.cpus.clear();
  for (PciDevice& device : machine.pci) device.cpu = kNone;
  return machine;
}

//  16 GPUs with a link to each of 12 NVSwitches
Inventory manySwitches() {
  Inventory machine;
  for (int i = 0; i < 16; ++i) {
    if (i % 8 == 0) drawn::addCpu(machine, i / 8);
    drawn::addGpu(machine, i / 8, kNone, i + 1, 70);
    for (int chip = 0; chip < 12; ++chip)
      drawn::addLinks(machine, i, drawn::bus(0x80 + chip), 1, pci_class::kNvSwitch);
  }
  return machine;
}

//  All 8 GPUs linked to all, with long names and speeds
Inventory fullMesh() {
  Inventory machine;
  for (int i = 0; i < 8; ++i) {
    if (i % 4 == 0) drawn::addCpu(machine, i / 4);
    drawn::addGpu(machine, i / 4, kNone, i + 1, 0);
    drawn::addNic(machine, i / 4, kNone, 0x40 + i, "a network card of a very long name indeed",
                  1e6);
    for (int other = 0; other < i; ++other)
      drawn::linkGpus(machine, i, other, 1, GpuLinkKind::xgmi);
  }
  machine.gpus[0].deadLinks = {3, 4};
  machine.gpus[1].links[0].count = 2;  // not what the other end says
  return machine;
}

//  A GPU below 40 switches, 200 GPUs and 300 NICs beside it
Inventory crowd() {
  Inventory machine;
  machine.source = std::string(5000, 'W');
  const int cpu = drawn::addCpu(machine, 0);
  int above = kNone;
  for (int i = 0; i < 40; ++i) above = drawn::addPci(machine, cpu, above, i, pci_class::kBridge);
  drawn::addGpu(machine, cpu, above, 0x50);
  for (int i = 0; i < 199; ++i) {
    drawn::addGpu(machine, cpu, kNone, 0x50);
    machine.pci.back().id.domain = static_cast<std::uint32_t>(i + 1);
  }
  for (int i = 0; i < 300; ++i) drawn::addNic(machine, cpu, kNone, 0x60, "nic" + std::to_string(i));
  for (int i = 0; i < 200; ++i)
    drawn::addLinks(machine, i, kInvisibleSwitch, 18, pci_class::kNvSwitch);
  return machine;
}

INSTANTIATE_TEST_SUITE_P(Machines, Svg,
                         ::testing::Values(drawn::nvSwitchNode, drawn::cubeMesh, drawn::pairs,
                                           drawn::pcieOnly, drawn::plainHost, drawn::rack, nothing,
                                           homeless, manySwitches, fullMesh, crowd));

TEST(SvgPresets, AreReadable) {
  for (const Preset* preset : allPresets()) {
    SCOPED_TRACE(preset->name);
    expectReadable(parse(writeSvg(Graph(preset->make()))));
  }
}

TEST(SvgRecorded, AreReadable) {
  LOCKSTEP_NEED_SHARED_MACHINES();
  for (const std::string_view name : kSharedNcclXml) {
    SCOPED_TRACE(name);
    expectReadable(parse(writeSvg(Graph(readTopologyFile(sharedMachine(name)).inventory))));
  }
}

TEST(SvgTexts, SayWidths) {
  const Picture mesh = parse(writeSvg(Graph(drawn::cubeMesh())));
  EXPECT_TRUE(shows(mesh, "6 NVLinks"));
  EXPECT_TRUE(shows(mesh, "x16 Gen3"));
  EXPECT_THAT(mesh.titles, ::testing::Contains("GPU0 to GPU3: NV2 40.0 GB/s"));
  const Picture node = parse(writeSvg(Graph(drawn::nvSwitchNode())));
  EXPECT_THAT(node.titles, ::testing::Contains("GPU7 to NVSwitch0: NV5 103.0 GB/s"));
  const Picture damaged = parse(writeSvg(Graph(fullMesh())));
  EXPECT_TRUE(shows(damaged, "2 dead NVLinks"));
  EXPECT_TRUE(shows(damaged, "XGMI1/XGMI2"));
}

TEST(SvgTexts, SayWhichSwitchesAreOneChip) {
  Inventory machine = drawn::cubeMesh();
  EXPECT_FALSE(shows(parse(writeSvg(Graph(machine))), "part of a larger chip"));
  machine.pci[0].peerSwitches.push_back(drawn::bus(0x21));
  EXPECT_TRUE(shows(parse(writeSvg(Graph(machine))), "part of a larger chip"));
}

TEST(SvgTexts, AreEscaped) {
  Inventory machine = drawn::plainHost();
  machine.nics[0].name = "</text><script>alert(1)</script>\x01\xc3\x28 & \"'";
  machine.cpus[0].model = "<b>\xff";
  machine.source = "]]>&lt;";
  const std::string svg = writeSvg(Graph(machine));
  EXPECT_THAT(svg, Not(HasSubstr("<script")));
  EXPECT_THAT(svg, Not(HasSubstr("<b>")));
  EXPECT_TRUE(shows(parse(svg), "]]>&lt;"));
}

TEST(SvgTexts, AreCutWithinCharacters) {
  const svg::Font font{.size = 10};
  EXPECT_EQ(svg::fitted("short", 100, font), "short");
  EXPECT_EQ(svg::fitted("\u00e4\u00e4\u00e4\u00e4", 25, font), "\u00e4\u2026");
  EXPECT_EQ(svg::fitted("anything", 0, font), "\u2026");
}

std::string refusal(const Inventory& machine) {
  try {
    writeSvg(Graph(machine));
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalidArgument);
    return error.what();
  }
  return "drawn";
}

TEST(SvgLimits, RefuseMoreThanOneCanSee) {
  Inventory machine;
  machine.source = "absurd";
  drawn::addCpu(machine, 0);
  for (int i = 0; i < 1025; ++i) {
    drawn::addGpu(machine, 0, kNone, 1);
    machine.pci.back().id.domain = static_cast<std::uint32_t>(i);
  }
  EXPECT_THAT(refusal(machine), HasSubstr("absurd: 1025 GPUs; a picture shows 1024 at most"));
  Inventory switches;
  drawn::addCpu(switches, 0);
  drawn::addGpu(switches, 0, kNone, 1);
  for (int i = 0; i < 257; ++i)
    drawn::addLinks(switches, 0, {static_cast<std::uint32_t>(i), 1, 0, 0}, 1, pci_class::kNvSwitch);
  EXPECT_THAT(refusal(switches), HasSubstr("257 NVSwitches; a picture shows 256 at most"));
}

}  // namespace
}  // namespace lockstep::topology
