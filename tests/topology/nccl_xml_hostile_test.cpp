// NCCL's topology XML from an enemy: mutations of good files, and files made to take long.
#include <chrono>
#include <functional>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "fuzz/nccl_xml_target.hpp"
#include "topology/mutator.hpp"
#include "topology/shared_machines.hpp"

namespace lockstep::topology {
namespace {

constexpr std::string_view kSmall = R"(<system version="1">
  <cpu host_hash="0x1f" numaid="0" affinity="ff" arch="x86_64" vendor="GenuineIntel" familyid="6" modelid="143">
    <pci busid="0000:01:00.0" class="0x060400" link_speed="32.0 GT/s PCIe" link_width="16">
      <pcilink target="0000:11:00.0"/>
      <pci busid="0000:06:00.0" class="0x030200" link_speed="32.0 GT/s PCIe" link_width="16">
        <gpu dev="0" sm="90" rank="0" gdr="1">
          <nvlink target="fffffff:ff:ff.0" count="18" tclass="0x068000"/>
          <c2c bw="45000" count="10"/>
        </gpu>
      </pci>
      <pci busid="0000:08:00.0" class="0x020700" link_speed="16 GT/s" link_width="8">
        <nic><net name="mlx5_0" dev="0" speed="400000" port="1" latency="0.000000" guid="0x1f" maxconn="1" gdr="1"/></nic>
      </pci>
    </pci>
  </cpu>
  <cpu numaid="-1" host="a &amp; b"><nic><net name="eth0" dev="1" latency="1.5"/></nic></cpu>
</system>
)";

/// The target aborts where a law is broken; the seed is in the trace.
void survivesMutations(const std::string& text, unsigned firstSeed, unsigned count) {
  int read = 0;
  for (unsigned seed = firstSeed; seed < firstSeed + count; ++seed) {
    SCOPED_TRACE(seed);
    if (fuzz::ncclXml(Mutator(seed).mutated(text))) ++read;
  }
  EXPECT_GT(read, 0) << "no mutation was gentle enough to be read";
  EXPECT_LT(read, static_cast<int>(count)) << "no mutation did anything";
}

TEST(NcclXmlHostile, MutationsAreReadOrRefused) {
  ASSERT_TRUE(fuzz::ncclXml(kSmall));
  survivesMutations(std::string(kSmall), 1, 2000);
}

TEST(NcclXmlHostile, MutationsOfRecordedMachinesAreReadOrRefused) {
  LOCKSTEP_NEED_SHARED_MACHINES();
  unsigned seed = 10'000;
  for (const std::string_view name : kSharedNcclXml) {
    const std::string text = contentsOf(sharedMachine(name));
    ASSERT_TRUE(fuzz::ncclXml(text)) << name;
    survivesMutations(text, seed, 300);
    seed += 1000;
  }
}

TEST(NcclXmlHostile, EachBeginningIsReadOrRefused) {
  for (std::size_t size = 0; size < kSmall.size(); ++size)
    EXPECT_EQ(fuzz::ncclXml(kSmall.substr(0, size)), size + 1 == kSmall.size()) << size;
}

/// `begin`, then `part(0)`, `part(1)`, ... up to kMostFileBytes with `end`.
std::string filled(std::string_view begin, const std::function<std::string(int)>& part,
                   std::string_view end, int most = 1 << 30) {
  std::string text(begin);
  for (int i = 0; i < most; ++i) {
    const std::string next = part(i);
    if (text.size() + next.size() + end.size() > kMostFileBytes) break;
    text += next;
  }
  return text.append(end);
}

std::string filled(std::string_view begin, std::string_view part, std::string_view end,
                   int most = 1 << 30) {
  return filled(
      begin, [&](int) { return std::string(part); }, end, most);
}

std::string busId(int i) {
  return print(BusId{static_cast<std::uint32_t>(i)});
}

TEST(NcclXmlHostile, LargeFilesAreAnsweredSoon) {
  const std::string long1000(1000, 'x');
  const std::string hosts = filled(
      "<system>", [](int i) { return fmt::format("<cpu numaid=\"0\" host=\"{:0140}\"/>", i); },
      "</system>", 99'000);
  const std::string texts[] = {
      filled("", "<", ""),
      filled("<system>", "<x>", ""),
      filled("<system>", "<x>", "", 99'000),
      filled("<system>", "\n", "</system>"),
      filled("<system>", "&amp;", "</system>"),
      filled("<!--", "- ", "--><system/>"),
      filled("<system a=\"", "&#65;", "\"/>"),
      filled(
          "<system ", [](int i) { return fmt::format("a{}=\"\" ", i); }, "/>"),
      filled("<system>", "<cpu numaid=\"0\"/>\n", "</system>", 99'000),
      hosts,
      filled(
          "<system><cpu numaid=\"0\">",
          [&](int i) {
            return fmt::format("<pci busid=\"{}\" class=\"no\" vendor=\"no\" device=\"{}\"/>\n",
                               busId(i), long1000.substr(0, 80));
          },
          "</cpu></system>", 99'000),
      filled("<system><cpu numaid=\"0\"><nic>", "<net name=\"\" a=\"&#1;\"/>",
             "</nic></cpu></system>", 99'000),
      filled("<system><cpu numaid=\"0\"><pci busid=\"1:0.0\"><gpu>",
             "<nvlink target=\"1:0.0\" count=\"1\" tclass=\"0x030200\"/>",
             "</gpu></pci></cpu></system>", 99'000),
      filled(
          "<system><cpu numaid=\"0\">",
          [](int i) {
            std::string text = fmt::format("<pci busid=\"{}\"", busId(i));
            for (int a = 0; a < 30; ++a) text += fmt::format(" attribute-number-{}=\"\"", a);
            return text + "/>\n";
          },
          "</cpu></system>", 99'000),
  };
  for (std::size_t i = 0; i < std::size(texts); ++i) {
    const auto begin = std::chrono::steady_clock::now();
    fuzz::ncclXml(texts[i]);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    // At most 0.9 s on a machine that has nothing else to do, for two readings and two writings.
    EXPECT_LT(took.count(), 60) << "text " << i;
    RecordProperty("text" + std::to_string(i), std::to_string(took.count()));
  }
}

}  // namespace
}  // namespace lockstep::topology
