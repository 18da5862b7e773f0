// NCCL's topology XML: what each part of it means, how wrong parts are answered, and that what is
// written can be read.
#include "topology/writers/nccl_xml.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "topology/graph/graph.hpp"
#include "topology/inventory/transfer_rate.hpp"
#include "topology/presets/preset.hpp"
#include "topology/readers/reader.hpp"
#include "topology/rows.hpp"
#include <lockstep/error.hpp>

namespace lockstep::topology {
namespace {

//  host 0xabc                                  host "tray 2"
//  NUMA 0                        NUMA 1        NUMA 0
//  switch 01 = switch 11         eth0          GPU 06 (another host's may be at the same address)
//    GPU 06 -- GPU 07, NVSwitches, C2C
//    GPU 07
//    NIC 08: mlx5_0 ports 1 and 2
constexpr std::string_view kEverything = R"(<?xml version="1.0"?>
<!-- a machine of every kind of row -->
<system version="1">
  <cpu host_hash="0xABC" numaid="0" affinity="0000ffff" arch="arm64" vendor="ARM" familyid="8" modelid="0x11" cores="72">
    <pci busid="0000:01:00.0" class="0x060400" vendor="0x1000" device="0xc030" subsystem_vendor="0x1000" subsystem_device="0x1003" link_speed="64.0 GT/s PCIe" link_width="16" keep="1" a-b.c="&lt;&quot;&amp;&#10;&gt;'">
      <pcilink target="0000:11:00.0"/>
      <pci busid="0000:06:00.0" class="0x030200" link_speed="32.0 GT/s" link_width="16">
        <gpu dev="0" sm="90" rank="0" gdr="1" mlopart="0">
          <nvlink target="0000:07:00.0" count="6" tclass="0x030200"/>
          <nvlink target="fffffff:ff:ff.0" count="12" tclass="0x068000" lanes="2"/>
          <c2c bw="45000" count="10"/>
        </gpu>
      </pci>
      <pci busid="0000:07:00.0" class="0x03" link_speed="Unknown" link_width="">
        <gpu/>
      </pci>
      <pci busid="0000:08:00.0" class="0x020700" link_speed="16 GT/s" link_width="8">
        <nic>
          <net name="mlx5_0" dev="0" speed="400000" port="1" latency="1.25" guid="0x1f" maxconn="131072" gdr="1" coll="1"/>
          <net name="mlx5_0" dev="1" speed="-1" port="2"/>
        </nic>
      </pci>
    </pci>
    <pci busid="0000:11:00.0" class="0x060400" link_speed="2.5 GT/s" link_width="1"/>
  </cpu>
  <cpu host_hash="0xABC" numaid="1">
    <nic><net name="eth0" dev="2" speed="100000" port="0"/></nic>
  </cpu>
  <cpu host_hash="0x1" host="tray 2" numaid="0">
    <pci busid="0000:06:00.0" class="0x030200" link_speed="" link_width="0"/>
  </cpu>
</system>
)";

Inventory inventoryOf(std::string_view text) {
  return readTopology(text, "t.xml").inventory;
}

/// A machine of one CPU with this in it, from line 3 on.
std::string machine(std::string_view inCpu) {
  return "<system version=\"1\">\n<cpu numaid=\"0\">\n" + std::string(inCpu) +
         "\n</cpu>\n</system>";
}

/// With one GPU, and this in it.
std::string gpuWith(std::string_view inGpu) {
  return machine("<pci busid=\"0000:06:00.0\" class=\"0x030200\"><gpu dev=\"0\">\n" +
                 std::string(inGpu) + "\n</gpu></pci>");
}

std::string errorOf(std::string_view text) {
  try {
    readTopology(text, "t.xml");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalidArgument);
    return error.what();
  }
  return "no error";
}

/// "LINE: text" of each, a line each.
std::string remarksOf(std::string_view text) {
  std::string all;
  for (const Remark& remark : readTopology(text, "t.xml").remarks)
    all += (all.empty() ? "" : "\n") + std::to_string(remark.line) + ": " + remark.text;
  return all;
}

TEST(NcclXml, ReadsEveryRow) {
  const Inventory machine = inventoryOf(kEverything);
  ASSERT_EQ(machine.cpus.size(), 3U);
  ASSERT_EQ(machine.pci.size(), 6U);
  ASSERT_EQ(machine.gpus.size(), 2U);
  ASSERT_EQ(machine.nics.size(), 3U);
  EXPECT_EQ(remarksOf(kEverything), "");

  const Cpu& cpu = machine.cpus[0];
  EXPECT_EQ(cpu.host, "0xabc");
  EXPECT_EQ(cpu.arch, "arm64");
  EXPECT_EQ(cpu.familyId, 8);
  EXPECT_EQ(cpu.modelId, 0x11);
  EXPECT_EQ(cpu.other, (Attributes{{"cores", "72"}}));
  EXPECT_EQ(machine.cpus[1].familyId, kNone);
  EXPECT_EQ(machine.cpus[2].host, "tray 2");

  const PciDevice& pciSwitch = machine.pci[0];
  EXPECT_DOUBLE_EQ(pciSwitch.link.speed.gigatransfers(), 64);
  EXPECT_EQ(pciSwitch.peerSwitches, (std::vector<BusId>{*parseBusId("0000:11:00.0")}));
  EXPECT_EQ(pciSwitch.other, (Attributes{{"keep", "1"}, {"a-b.c", "<\"&\n>'"}}));
  EXPECT_EQ(machine.pci[1].parent, 0);
  EXPECT_FALSE(machine.pci[1].vendor);
  EXPECT_EQ(machine.pci[2].classCode, 0x030000U);
  EXPECT_FALSE(machine.pci[2].link.speed.known());
  EXPECT_EQ(machine.pci[5].cpu, 2);

  const Gpu& gpu = machine.gpus[0];
  ASSERT_EQ(gpu.links.size(), 2U);
  EXPECT_EQ(gpu.links[0].target, *parseBusId("07:00.0"));
  EXPECT_EQ(gpu.links[1].target, kInvisibleSwitch);
  EXPECT_EQ(gpu.links[1].count, 12);
  EXPECT_EQ(gpu.links[1].targetClass, pci_class::kNvSwitch);
  EXPECT_EQ(gpu.links[1].other, (Attributes{{"lanes", "2"}}));
  ASSERT_EQ(gpu.chipToChip.size(), 1U);
  EXPECT_EQ(gpu.chipToChip[0].count, 10);
  EXPECT_DOUBLE_EQ(gpu.chipToChip[0].each.gigabytesPerSecond(), 45);
  EXPECT_EQ(gpu.other, (Attributes{{"mlopart", "0"}}));
  const Gpu& unknown = machine.gpus[1];
  EXPECT_EQ(unknown.device, kNone);
  EXPECT_EQ(unknown.rank, kNone);
  EXPECT_EQ(unknown.sm, 0);

  const Nic& nic = machine.nics[0];
  EXPECT_EQ(nic.pci, 3);
  EXPECT_EQ(nic.cpu, 0);
  EXPECT_DOUBLE_EQ(nic.speed.megabitsPerSecond(), 400000);
  EXPECT_DOUBLE_EQ(nic.latency, 1.25);
  EXPECT_EQ(nic.other, (Attributes{{"coll", "1"}}));
  EXPECT_FALSE(machine.nics[1].speed.known());
  EXPECT_EQ(machine.nics[1].port, 2);
  EXPECT_EQ(machine.nics[2].pci, kNone);
  EXPECT_EQ(machine.nics[2].cpu, 1);
}

TEST(NcclXml, ReadsSpeedsAsWrittenByEveryKernel) {
  const auto gigatransfers = [](std::string_view text) {
    const auto rate = parseTransferRate(text);
    return rate ? rate->gigatransfers() : -1;
  };
  EXPECT_EQ(gigatransfers("2.5 GT/s"), 2.5);
  EXPECT_EQ(gigatransfers("8 GT/s"), 8);
  EXPECT_EQ(gigatransfers("16.0 GT/s PCIe"), 16);
  EXPECT_EQ(gigatransfers("32.0 GT/s"), 32);  // NCCL takes it for 8
  EXPECT_EQ(gigatransfers("32 GT/s PCIe"), 32);
  EXPECT_EQ(gigatransfers("128.0GT/s"), 128);
  EXPECT_EQ(gigatransfers(""), 0);
  EXPECT_EQ(gigatransfers("Unknown speed"), 0);
  for (const std::string_view wrong : {"32", "GT/s", "fast", "-8 GT/s", "1e300 GT/s", "nan GT/s",
                                       "inf GT/s", "8 GT/s PCIe x16", " 8 GT/s", "0x8 GT/s"})
    EXPECT_EQ(gigatransfers(wrong), -1) << wrong;
  EXPECT_EQ(print(TransferRate::gigatransfers(2.5)), "2.5 GT/s PCIe");
  EXPECT_EQ(print(TransferRate::gigatransfers(32)), "32.0 GT/s PCIe");
  EXPECT_EQ(print(TransferRate{}), "");
}

TEST(NcclXml, IsRecognisedByItsFirstElement) {
  const Reader& reader = **std::find_if(allReaders().begin(), allReaders().end(),
                                        [](auto* r) { return r->name == "NCCL topology XML"; });
  for (const std::string_view yes : {"<system", "<system/>", "<system version=\"9\">",
                                     "\xef\xbb\xbf \r\n<?xml version='1.0'?><system>",
                                     "<!-- <topology> --><!DOCTYPE system>\n<system\tversion"})
    EXPECT_TRUE(reader.recognises(yes)) << yes;
  for (const std::string_view no :
       {"", " ", "<", "<!--", "<?xml", "<systems>", "<topology><system/></topology>", "</system>",
        "<!-- <system> -->", "{\"system\": 1}", "system", "< system>",
        "<!DOCTYPE topology SYSTEM \"hwloc2.dtd\">\n<topology>"})
    EXPECT_FALSE(reader.recognises(no)) << no;
}

struct Wrong {
  std::string text;
  std::string answer;
};

TEST(NcclXml, SaysWhatIsWrongAndWhere) {
  const Wrong cases[] = {
      {"<system", "t.xml:1: the text ends before its elements do; is it cut off?"},
      {"<system version=\"1\">\n<cpu numaid=\"0\">\n",
       "t.xml:2: the text ends before its elements do; is it cut off?"},
      {"<system version=\"1\">\n<cpu numaid=\"0\" aff",
       "t.xml:2: the text ends before its elements do; is it cut off?"},
      {"<system version=\"1\">\n<cpu numaid=\"0\">\n</system>",
       "t.xml:3: not well-formed XML: an end tag that is not that of the element it is in"},
      {"<system version=\"1\">\n<cpu numaid=0/>\n</system>",
       "t.xml:2: not well-formed XML: an attribute that is not NAME=\"VALUE\""},
      {"<system version=\"1\">\n<1/>\n</system>",
       "t.xml:2: not well-formed XML: a '<' that begins no tag"},
      {std::string("<system>\n\0</system>", 19), "t.xml:2: a zero byte; XML text is expected"},
      {"<system version=\"1\"/>\n<system version=\"1\"/>",
       "t.xml:2: a second root element, <system>; one <system> is expected"},
      {"<system version=\"1\"/>\nand more", "t.xml:1: text outside of <system>"},
      {"<systems version=\"1\"/>", "t.xml:1: of no known format; expected one of: "},
      {"<system\n version=\"3\"/>",
       "t.xml:1: <system> version=\"3\": expected 1 (NCCL) or 2 (RCCL)"},
      {"<system version=\"one\"/>",
       "t.xml:1: <system> version=\"one\": expected 1 (NCCL) or 2 (RCCL)"},
      {"<system version=\"1\" version=\"2\"/>",
       "t.xml:1: <system> has the attribute version twice"},
      {"<system version=\"1\">\n<cpu/></system>",
       "t.xml:2: <cpu> without numaid; expected the number of a NUMA node, from -1 to 4095"},
      {"<system version=\"1\">\n<cpu numaid=\"-2\"/></system>",
       "t.xml:2: <cpu> numaid=\"-2\": expected the number of a NUMA node, from -1 to 4095"},
      {"<system version=\"1\">\n<cpu numaid=\"4000000000\"/></system>",
       "t.xml:2: <cpu> numaid=\"4000000000\": expected the number of a NUMA node, from -1 to 4095"},
      {machine("<pci class=\"0x030200\"/>"),
       "t.xml:3: <pci> without busid; expected a PCI address such as 0000:1b:00.0"},
      {machine("<pci\nbusid=\"0000:1b\"/>"),
       "t.xml:3: <pci> busid=\"0000:1b\": expected a PCI address such as 0000:1b:00.0"},
      {machine("<pci busid=\"0000:1b:00.0\"/>\n<pci busid=\"1B:00.0\"/>"),
       "t.xml:4: a second <pci> at 0000:1b:00.0, where line 3 has one; expected each device once"},
      {machine("<pci busid=\"0000:1b:00.0\">\n<pci busid=\"0000:1b:00.0\"/></pci>"),
       "t.xml:4: a second <pci> at 0000:1b:00.0, where line 3 has one; expected each device once"},
  };
  for (const Wrong& wrong : cases) {
    std::string error = errorOf(wrong.text);
    // More formats may be known.
    if (error.find("of no known format") != std::string::npos)
      error = error.substr(0, wrong.answer.size());
    EXPECT_EQ(error, wrong.answer) << wrong.text;
  }
}

TEST(NcclXml, NamesAreUtf8) {
  EXPECT_EQ(errorOf("<system version=\"1\">\n<\xff/></system>"),
            "t.xml:2: an element whose name is not UTF-8: <\xef\xbf\xbd>");
  EXPECT_EQ(errorOf("<system version=\"1\">\n<cpu numaid=\"0\" \xc3=\"1\"/></system>"),
            "t.xml:2: <cpu> has an attribute whose name is not UTF-8: \xef\xbf\xbd");
  const Inventory machine =
      inventoryOf("<system version=\"1\"><cpu numaid=\"0\" a=\"\xe9t\xc3\xa9&#xd800;\"/></system>");
  EXPECT_EQ(machine.cpus[0].other[0].second,
            "\xef\xbf\xbdt\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

TEST(NcclXml, LimitsDepthElementsAndAttributes) {
  const auto nested = [](int levels) {
    std::string text = "<system version=\"1\">\n<cpu numaid=\"0\">\n";
    for (int i = 0; i < levels; ++i)
      text += "<pci busid=\"" + print(BusId{static_cast<std::uint32_t>(i)}) +
              "\" class=\"0x060400\">\n";
    for (int i = 0; i < levels; ++i) text += "</pci>";
    return text + "</cpu></system>";
  };
  EXPECT_EQ(inventoryOf(nested(62)).pci.size(), 62U);
  EXPECT_EQ(errorOf(nested(63)), "t.xml:65: <pci> is more than 64 elements deep");

  const auto repeated = [](std::size_t times, std::string_view part) {
    std::string text;
    for (std::size_t i = 0; i < times; ++i) text += part;
    return text;
  };
  EXPECT_EQ(errorOf("<system version=\"1\">\n" + repeated(100'000, "<x/>") + "</system>"),
            "t.xml:2: more than 100000 elements; no topology file has so many");
  EXPECT_EQ(errorOf("<system>\n" + repeated(500'000, "<")),
            "t.xml:2: more than 400000 tags; at most 100000 elements are read");
  EXPECT_EQ(errorOf("<system>\n" + repeated(1'700'000, "=")),
            "t.xml:2: more than 1600000 attributes; no topology file has so many");
  std::string many = "<system version=\"1\">\n<cpu numaid=\"0\"";
  for (int i = 0; i < 64; ++i) many += " a" + std::to_string(i) + "=\"\"";
  EXPECT_EQ(errorOf(many + "/></system>"), "t.xml:2: <cpu> has more than 64 attributes");
  EXPECT_EQ(remarksOf(many.substr(0, many.rfind(" a")) + "/></system>"),
            "2: <cpu> has 63 attributes of unknown meaning; 32 are kept");
}

TEST(NcclXml, RemarksWhatItLeavesOutOrCannotRead) {
  const Wrong cases[] = {
      {"<system/>", "1: <system> without version; taken for version 1"},
      {"<system version=\"2\" name=\"x\"/>", "1: <system> name=\"x\" is left out"},
      {"<system version=\"1\">\n<gpu/>\n</system>",
       "2: <gpu> in <system> is left out, with all that is in it"},
      {"<system version=\"1\">\nstray</system>", "1: text in <system> is left out"},
      {"<system version=\"1\"><cpu numaid=\"1\"/>\n<cpu numaid=\"1\"/></system>",
       "2: a second <cpu> of NUMA node 1; its devices are taken to be of the first"},
      {machine("<gpu/>"), "3: <gpu> in <cpu> is left out, with all that is in it"},
      {machine("<pci busid=\"1:0.0\" class=\"bridge\"/>"),
       "3: <pci> class=\"bridge\": expected a PCI class such as 0x030200; taken as not known"},
      {machine("<pci busid=\"1:0.0\" vendor=\"0x12345\"/>"),
       "3: <pci> vendor=\"0x12345\": expected up to 4 hexadecimal digits; taken as not known"},
      {machine("<pci busid=\"1:0.0\" link_width=\"99\"/>"),
       "3: <pci> link_width=\"99\": expected a number from 0 to 32; taken as not known"},
      {machine("<pci busid=\"1:0.0\" link_speed=\"fast\"/>"),
       "3: <pci> link_speed=\"fast\": expected a rate such as \"32.0 GT/s PCIe\"; taken as not "
       "known"},
      {machine("<pci busid=\"1:0.0\"><gpu/>\n<gpu/></pci>"),
       "4: a second <gpu> in one <pci> is left out"},
      {machine("<pci busid=\"1:0.0\"><pcilink target=\"there\" kind=\"x\"/></pci>"),
       "3: <pcilink> target=\"there\": expected a PCI address such as 0000:1b:00.0; the link is "
       "left out\n3: <pcilink> kind=\"x\" is left out"},
      {machine("<pci busid=\"1:0.0\"><gpu sm=\"-1\" dev=\"-7\" rank=\"1e3\" gdr=\"2\"/></pci>"),
       "3: <gpu> dev=\"-7\": expected a number from 0 to 65535; taken as not known\n"
       "3: <gpu> sm=\"-1\": expected a number from 0 to 9999; taken as not known\n"
       "3: <gpu> rank=\"1e3\": expected a number from 0 to 16777215; taken as not known\n"
       "3: <gpu> gdr=\"2\": expected a number from 0 to 1; taken as not known"},
      {machine("<nic speed=\"1\"><gin/><net name=\"a\" speed=\"1e300\" latency=\"-1\"/></nic>"),
       "3: <nic> speed=\"1\" is left out\n"
       "3: <gin> in <nic> is left out, with all that is in it\n"
       "3: <net> speed=\"1e300\": expected a number from 0 to 100000000; taken as not known\n"
       "3: <net> latency=\"-1\": expected a number from 0 to 1000000; taken as not known"},
      {machine("<nic><net dev=\"0\"/></nic>"), "3: <net> without a name"},
  };
  for (const Wrong& wrong : cases) EXPECT_EQ(remarksOf(wrong.text), wrong.answer) << wrong.text;
}

TEST(NcclXml, InventsNoLinks) {
  const Wrong cases[] = {
      {"<nvlink target=\"1:0.0\" count=\"-3\"/>",
       "4: <nvlink> count=\"-3\": expected a number from 1 to 1024; the link is left out"},
      {"<nvlink target=\"1:0.0\" count=\"4000000000\"/>",
       "4: <nvlink> count=\"4000000000\": expected a number from 1 to 1024; the link is left out"},
      {"<xgmi target=\"1:0.0\" count=\"0\"/>",
       "4: <xgmi> count=\"0\": expected a number from 1 to 1024; the link is left out"},
      {"<nvlink target=\"1:0.0\"/>",
       "4: <nvlink> count=\"\": expected a number from 1 to 1024; the link is left out"},
      {"<nvlink target=\"there\" count=\"1\"/>",
       "4: <nvlink> target=\"there\": expected a PCI address such as 0000:1b:00.0; the link is "
       "left "
       "out"},
      {"<c2c bw=\"45000\" count=\"9999\"/>",
       "4: <c2c> count=\"9999\": expected a number from 1 to 1024; the link is left out"},
  };
  for (const Wrong& wrong : cases) {
    const Inventory machine = inventoryOf(gpuWith(wrong.text));
    EXPECT_TRUE(machine.gpus[0].links.empty()) << wrong.text;
    EXPECT_TRUE(machine.gpus[0].chipToChip.empty()) << wrong.text;
    EXPECT_EQ(remarksOf(gpuWith(wrong.text)), wrong.answer);
  }
}

/// The graph leaves these out, and says so: what a file tells is not the reader's to judge.
TEST(NcclXml, KeepsLinksToNowhereAsTold) {
  const Inventory machine =
      inventoryOf(gpuWith("<nvlink target=\"0000:06:00.0\" count=\"12\" tclass=\"0x030200\"/>"
                          "<nvlink target=\"0000:99:00.0\" count=\"1\" tclass=\"0x030200\"/>"));
  ASSERT_EQ(machine.gpus[0].links.size(), 2U);
  EXPECT_EQ(machine.gpus[0].links[0].target, machine.pci[0].id);
  const Graph graph(machine);
  for (const Link& link : graph.links()) EXPECT_NE(link.kind, LinkKind::nvlink);
  EXPECT_EQ(graph.remarks().size(), 2U);
}

TEST(NcclXml, InvisibleSwitchesAreOneHoweverWritten) {
  const Inventory machine =
      inventoryOf(gpuWith("<nvlink target=\"fffffff:ffff:ff\" count=\"18\" tclass=\"0x068000\"/>"));
  EXPECT_EQ(machine.gpus[0].links.at(0).target, kInvisibleSwitch);
}

TEST(NcclXml, CountsRemarksThatAreTooMany) {
  std::string gpus;
  for (int i = 0; i < 250; ++i) gpus += "\n<gpu/>";
  const Reading reading = readTopology(machine(gpus), "t.xml");
  ASSERT_EQ(reading.remarks.size(), kMostRemarks);
  EXPECT_EQ(reading.remarks[98].line, 102);
  EXPECT_EQ(reading.remarks[99].line, 0);
  EXPECT_EQ(reading.remarks[99].text, "and 151 remarks more");
}

TEST(NcclXml, MessagesQuoteLittle) {
  const std::string text = machine("<pci busid=\"" + std::string(1000, 'x') + "\x1b\"/>");
  EXPECT_EQ(errorOf(text), "t.xml:3: <pci> busid=\"" + std::string(60, 'x') +
                               "...\": expected a PCI address such as 0000:1b:00.0");
  EXPECT_EQ(errorOf(machine("<pci busid=\"\x1b[31m\"/>")),
            "t.xml:3: <pci> busid=\"?[31m\": expected a PCI address such as 0000:1b:00.0");
}

void expectRoundTrip(const Inventory& inventory) {
  const std::string written = writeNcclXml(inventory);
  const Reading again = readTopology(written, inventory.source);
  EXPECT_EQ(again.inventory, inventory) << written;
  EXPECT_EQ(writeNcclXml(again.inventory), written);
}

TEST(NcclXml, WritesWhatItReads) {
  expectRoundTrip(inventoryOf(kEverything));
  expectRoundTrip(inventoryOf("<system version=\"2\"/>"));
  expectRoundTrip(inventoryOf(machine("<nic/>")));
}

/// Presets fill rows by hand, and not in the order of the tree.
Inventory byHand() {
  Inventory machine;
  machine.source = "by hand";
  machine.cpus = {cpuRow(0, "node 1"), cpuRow(0, "node 2")};
  for (int i = 0; i < 4; ++i) {
    PciDevice device = pciRow(fmt::format("{}:0.0", i), i % 2, i < 2 ? kNone : i - 2,
                              i < 2 ? pci_class::kBridge : pci_class::k3d);
    device.link = {TransferRate::gigatransfers(32), 16};
    machine.pci.push_back(device);
  }
  for (int i = 0; i < 2; ++i) {
    Gpu gpu = gpuRow(2 + i, i);
    gpu.sm = 100;
    gpu.links.push_back({GpuLinkKind::nvlink, kInvisibleSwitch, 18, pci_class::kNvSwitch, {}});
    gpu.chipToChip.push_back({10, Bandwidth::gigabytesPerSecond(45), {}});
    machine.gpus.push_back(gpu);
  }
  return machine;
}

TEST(NcclXml, WritesPresetsWithAllTheirRows) {
  for (const Preset* preset : allPresets()) {
    SCOPED_TRACE(preset->name);
    const Inventory machine = preset->make();
    const std::string written = writeNcclXml(machine);
    const Reading again = readTopology(written, "t.xml");
    EXPECT_EQ(writeNcclXml(again.inventory), written);
    EXPECT_TRUE(again.remarks.empty());
    EXPECT_EQ(again.inventory.cpus.size(), machine.cpus.size());
    EXPECT_EQ(again.inventory.pci.size(), machine.pci.size());
    EXPECT_EQ(again.inventory.gpus.size(), machine.gpus.size());
    EXPECT_EQ(again.inventory.nics.size(), machine.nics.size());
  }
}

TEST(NcclXml, WritesRowsInTheOrderOfTheTree) {
  const Inventory again = inventoryOf(writeNcclXml(byHand()));
  std::string order;
  for (const PciDevice& device : again.pci) order += print(device.id) + " ";
  EXPECT_EQ(order, "0000:00:00.0 0000:02:00.0 0000:01:00.0 0000:03:00.0 ");
  EXPECT_EQ(again.cpus, byHand().cpus);
  EXPECT_EQ(again.gpus[1].chipToChip, byHand().gpus[1].chipToChip);
  expectRoundTrip(again);
}

TEST(NcclXml, WritesWhatNcclDemandsAndNoFalseKnowledge) {
  Inventory machine;
  machine.pci.push_back(pciRow("01:00.0"));
  machine.gpus.push_back(gpuRow(0));
  machine.nics.push_back(nicRow("a<b"));
  EXPECT_EQ(writeNcclXml(machine), R"(<system version="1">
  <cpu numaid="-1">
    <pci busid="0000:01:00.0" class="0x000000" link_speed="" link_width="0">
      <gpu rank="-1" gdr="0"/>
    </pci>
    <nic>
      <net name="a&lt;b" port="0" latency="0.000000" gdr="0"/>
    </nic>
  </cpu>
</system>
)");
}

TEST(NcclXml, HostsOfAnyNameAreNumbersToNccl) {
  const std::string written = writeNcclXml(byHand());
  EXPECT_NE(written.find("<cpu host_hash=\"0x"), std::string::npos);
  EXPECT_NE(written.find("host=\"node 1\" numaid=\"0\""), std::string::npos);
  EXPECT_EQ(inventoryOf(written).cpus[1].host, "node 2");
}

TEST(NcclXml, DropsNamesThatXmlHasNot) {
  Inventory machine = byHand();
  machine.cpus[0].other = {{"a b", "1"}, {"", "2"}, {"1a", "3"}, {"numaid", "4"}, {"ok", "5"}};
  EXPECT_EQ(inventoryOf(writeNcclXml(machine)).cpus[0].other, (Attributes{{"ok", "5"}}));
}

TEST(NcclXml, RefusesToWriteWhatItCouldNotRead) {
  Inventory machine;
  for (int i = 0; i < 63; ++i)
    machine.pci.push_back(pciRow(fmt::format("{:x}:0:0.0", i), kNone, i - 1));
  EXPECT_THROW(writeNcclXml(machine), Error);
  machine.pci.pop_back();
  expectRoundTrip(inventoryOf(writeNcclXml(machine)));
}

}  // namespace
}  // namespace lockstep::topology
