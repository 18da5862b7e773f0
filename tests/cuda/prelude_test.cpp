// The prelude as part of the library.
#include "executor/cuda/prelude.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cuda/kernels.hpp"
#include "cuda/nvrtc_matrix.hpp"
#include "cuda/real_nvrtc.hpp"

namespace lockstep::cuda {
namespace {

namespace fs = std::filesystem;

TEST(Prelude, IsTheFilesAsTheyAre) {
  const fs::path root = fs::path(LOCKSTEP_SOURCE_DIR) / "lib";
  std::vector<std::string> names;
  for (const auto& file : fs::directory_iterator(root / "executor/cuda/prelude"))
    names.push_back(fs::relative(file.path(), root).string());
  std::ranges::sort(names);
  ASSERT_EQ(prelude().size(), names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    SCOPED_TRACE(names[i]);
    const PreludeFile& file = prelude()[i];
    EXPECT_EQ(file.name, names[i]);
    std::ifstream in(root / names[i], std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    EXPECT_EQ(file.text, text);
    EXPECT_EQ(file.text.data()[file.text.size()], '\0') << "NVRTC takes it as a C string";
    EXPECT_EQ(file.text.find('\0'), std::string::npos);
  }
}

TEST(Prelude, EveryFileCompilesForEveryChip) {
  LOCKSTEP_NEEDS_NVRTC();
  const MatrixReport report = nvrtcMatrix(preludeKernels(), kChips, {});
  EXPECT_EQ(report.faults, "") << report.text();
}

}  // namespace
}  // namespace lockstep::cuda
