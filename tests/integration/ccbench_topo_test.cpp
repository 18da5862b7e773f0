// ccbench topo, as its user runs it: of this machine, of machines by name, of files; and what it
// says to bad input.
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "integration/ccbench_process.hpp"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class CcbenchTopo : public testing::Test {
 protected:
  void SetUp() override {
    SKIP_WITHOUT_CCBENCH();
    fs::create_directory(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string file(const std::string& name) const { return folder_ / name; }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(file(name)) << text;
    return file(name);
  }
  static CcbenchRun topo(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "topo");
    return CcbenchRun(arguments);
  }

 private:
  fs::path folder_ = testing::TempDir() + std::to_string(getpid()) + ".topo";
};

/// Two GPUs, one of which misses a link that the other says it has.
constexpr const char* kUnequal = R"(<system version="1">
  <cpu numaid="0" affinity="0000000f" arch="x86_64" vendor="GenuineIntel" familyid="6" modelid="143">
    <pci busid="0000:01:00.0" class="0x030200" link_speed="32.0 GT/s PCIe" link_width="16">
      <gpu dev="0" sm="90" rank="0" gdr="1"><nvlink target="0000:02:00.0" count="4" tclass="0x030200"/></gpu>
    </pci>
    <pci busid="0000:02:00.0" class="0x030200" link_speed="32.0 GT/s PCIe" link_width="16">
      <gpu dev="1" sm="90" rank="1" gdr="1"><nvlink target="0000:01:00.0" count="3" tclass="0x030200"/></gpu>
    </pci>
  </cpu>
</system>
)";

TEST_F(CcbenchTopo, ShowsThisMachine) {
  const CcbenchRun run = topo({});
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.out, AllOf(HasSubstr("this machine: "), HasSubstr("NUMA 0")));
  const fs::path devices = "/sys/bus/pci/devices";
  if (!fs::exists(devices)) return;  // some containers hide it
  for (const auto& device : fs::directory_iterator(devices)) {
    std::ifstream file(device.path() / "class");
    std::string classCode;
    file >> classCode;
    const bool port = classCode.starts_with("0x0604");  // root ports are left out
    if (port) continue;
    EXPECT_THAT(run.out, HasSubstr(device.path().filename().string()));
  }
}

TEST_F(CcbenchTopo, ShowsMachinesByName) {
  const CcbenchRun run = topo({"--fabric", "dgx-h100"});
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.out,
              AllOf(HasSubstr("8 GPUs, 4 NVSwitches"), HasSubstr("NV18"), HasSubstr("370.8 GB/s")));
  EXPECT_EQ(topo({"--fabric", "dgx-h100", "--check"}).status, 0);
}

TEST_F(CcbenchTopo, ChecksWithAnExitStatus) {
  const CcbenchRun run = topo({"--file", write("unequal.xml", kUnequal), "--check"});
  EXPECT_EQ(run.status, 2) << run.out << run.err;
  EXPECT_THAT(run.out, AllOf(HasSubstr("error: GPU"), HasSubstr("nvlink-asymmetric")));
  EXPECT_THAT(run.out, Not(HasSubstr("NV3"))) << "only the verdict was asked for";
}

TEST_F(CcbenchTopo, ChecksForProgramsToo) {
  const CcbenchRun run = topo({"--file", write("unequal.xml", kUnequal), "--check", "--json"});
  EXPECT_EQ(run.status, 2) << run.err;
  const auto json = nlohmann::json::parse(run.out, nullptr, false);
  ASSERT_FALSE(json.is_discarded()) << run.out.substr(0, 200);
  EXPECT_EQ(json["problems"][0]["rule"], "nvlink-asymmetric");
}

TEST_F(CcbenchTopo, WritesWhatItReads) {
  const CcbenchRun first =
      topo({"--fabric", "hgx-b200", "--nccl-xml", file("b200.xml"), "--svg", file("b200.svg")});
  EXPECT_EQ(first.status, 0) << first.err;
  EXPECT_EQ(first.out, "");
  EXPECT_TRUE(fs::exists(file("b200.svg")));
  const CcbenchRun made = topo({"--fabric", "hgx-b200", "--matrix"});
  const CcbenchRun read = topo({"--file", file("b200.xml"), "--matrix"});
  EXPECT_EQ(read.out, made.out);
  topo({"--fabric", "gb200-nvl72", "--nccl-xml", file("nvl72.xml")});  // of many hosts
  EXPECT_EQ(topo({"--file", file("nvl72.xml"), "--matrix"}).out,
            topo({"--fabric", "gb200-nvl72", "--matrix"}).out);
  // The matrix is read again, too, as far as a matrix can tell.
  const CcbenchRun again = topo({"--file", write("matrix.txt", made.out), "--matrix"});
  EXPECT_EQ(again.status, 0) << again.err;
  EXPECT_THAT(again.out, HasSubstr("NV18"));
}

TEST_F(CcbenchTopo, SpeaksJsonAndDot) {
  const CcbenchRun run = topo({"--fabric", "dgx-a100", "--json"});
  const auto json = nlohmann::json::parse(run.out, nullptr, false);
  ASSERT_FALSE(json.is_discarded()) << run.out.substr(0, 200);
  EXPECT_EQ(json["schema"], 1);
  EXPECT_THAT(topo({"--fabric", "dgx-a100", "--dot"}).out,
              testing::StartsWith("digraph topology {"));
}

TEST_F(CcbenchTopo, LaterFilesFillWhatTheFirstDoesNotKnow) {
  const std::string hint = write("hint.xml", R"(<system version="1">
  <cpu numaid="1" affinity="000000f0" arch="x86_64" vendor="GenuineIntel" familyid="6" modelid="143">
    <pci busid="ffff:ff:01.0" class="0x060400" link_speed="16 GT/s" link_width="16">
      <pci busid="0000:01:00.0" class="0x030200" link_speed="16 GT/s" link_width="16"/>
      <pci busid="0000:02:00.0" class="0x030200" link_speed="16 GT/s" link_width="16"/>
    </pci>
  </cpu>
</system>
)");
  const CcbenchRun run = topo({"--file", hint, "--file", write("gpus.xml", kUnequal), "--tree"});
  EXPECT_EQ(run.status, 0) << run.err;
  // Below the hint's switch, with the links of the other file.
  EXPECT_THAT(run.out, AllOf(HasSubstr("  PCIe switch ffff:ff:01.0"),
                             HasSubstr("    GPU0, 0000:01:00.0"), HasSubstr("4 NVLinks")));
}

TEST_F(CcbenchTopo, SaysWhatIsWrongWithItsInput) {
  const struct {
    std::vector<std::string> arguments;
    const char* says;
  } cases[] = {
      {{"--file", "/no/such/file"}, "/no/such/file: cannot open it: No such file"},
      {{"--file", "/tmp"}, "not a plain file"},
      {{"--file", write("empty", "")}, "of no known format"},
      {{"--file", write("broken.xml", "<system version=\"1\">\n<cpu numaid=\"0\">\n")},
       "broken.xml:"},
      {{"--fabric", "dgx-z9"}, "dgx-h100"},
      {{"--fabric", "dgx-h100", "--live"}, "--fabric is a machine by itself"},
      {{"--json", "--dot"}, "one at a time"},
      {{"--frobnicate"}, "ccbench topo --help"},
      {{"--svg", "/no/such/folder/x.svg"}, "--svg"},
  };
  for (const auto& [arguments, says] : cases) {
    const CcbenchRun run = topo(arguments);
    EXPECT_EQ(run.status, 2) << arguments.front() << run.out;
    EXPECT_THAT(run.err, HasSubstr(says));
    EXPECT_EQ(run.out, "");
  }
}

}  // namespace
}  // namespace lockstep
