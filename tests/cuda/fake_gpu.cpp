#include "cuda/fake_gpu.hpp"

#include <array>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <sys/mman.h>

namespace lockstep::testing {
namespace {

cuda::Library open(const char* file) {
  const std::array<std::string, 1> files{file};
  return cuda::Library({"LOCKSTEP_FAKE_NO_SUCH_VARIABLE", files, "fake", "build it"});
}

/// The prelude as it lies in the repository, by the names that #include gives it.
std::vector<std::pair<std::string, std::string>> preludeFiles() {
  std::vector<std::pair<std::string, std::string>> files;
  const std::string folder = "executor/cuda/prelude";
  const auto root = std::filesystem::path(LOCKSTEP_SOURCE_DIR) / "lib";
  for (const auto& entry : std::filesystem::directory_iterator(root / folder)) {
    std::ostringstream text;
    text << std::ifstream(entry.path()).rdbuf();
    files.emplace_back(folder + "/" + entry.path().filename().string(), text.str());
  }
  return files;
}

}  // namespace

bool hasProtectionKeys() {
  const int key = ::pkey_alloc(0, 0);
  if (key >= 0) ::pkey_free(key);
  return key >= 0;
}

FakeDriver::FakeDriver() : library(open(LOCKSTEP_FAKE_CUDA)) {
  EXPECT_EQ(library.whyNot(), "");
  missing = lookUp(library);
}

std::string FakeDriver::alive() const {
  void (*write)(char* words, unsigned bytes) = nullptr;
  EXPECT_TRUE(library.find("lockstepFakeCudaAlive", write));
  char words[256] = {};
  write(words, sizeof words);
  return words;
}

FakeNvrtc::FakeNvrtc() : library(open(LOCKSTEP_FAKE_NVRTC)) {
  EXPECT_EQ(library.whyNot(), "");
  EXPECT_EQ(lookUp(library), "");
}

cuda::NvrtcResult FakeNvrtc::compile(const std::string& text, std::vector<const char*> more) {
  const auto files = preludeFiles();
  std::vector<const char*> names, texts;
  for (const auto& [name, content] : files) {
    names.push_back(name.c_str());
    texts.push_back(content.c_str());
  }
  more.push_back("--gpu-architecture=sm_90");
  cuda::ProgramHandle program = nullptr;
  EXPECT_EQ(createProgram(&program, text.c_str(), "test.cu", static_cast<int>(names.size()),
                          texts.data(), names.data()),
            cuda::NvrtcResult::success);
  const auto result = compileProgram(program, static_cast<int>(more.size()), more.data());
  std::size_t bytes = 0;
  EXPECT_EQ(getProgramLogSize(program, &bytes), cuda::NvrtcResult::success);
  log.resize(bytes);
  EXPECT_EQ(getProgramLog(program, log.data()), cuda::NvrtcResult::success);
  if (result == cuda::NvrtcResult::success) {
    EXPECT_EQ(getCubinSize(program, &bytes), cuda::NvrtcResult::success);
    cubin.resize(bytes);
    EXPECT_EQ(getCubin(program, cubin.data()), cuda::NvrtcResult::success);
  }
  EXPECT_EQ(destroyProgram(&program), cuda::NvrtcResult::success);
  return result;
}

FakeGpu::FakeGpu(int ordinal) : ordinal_(ordinal) {
  EXPECT_EQ(missing, "");
  EXPECT_OK(init(0));
  EXPECT_OK(primaryCtxRetain(&context, ordinal));
  EXPECT_OK(ctxPushCurrent(context));
}

FakeGpu::~FakeGpu() {
  for (const auto stream : streams_) {
    EXPECT_OK(streamSynchronize(stream));
    EXPECT_OK(streamDestroy(stream));
  }
  for (const auto memory : memories_) EXPECT_OK(memFree(memory));
  for (const auto module : modules_) EXPECT_OK(moduleUnload(module));
  cuda::ContextHandle mine = nullptr;
  EXPECT_OK(ctxPopCurrent(&mine));
  EXPECT_EQ(mine, context);
  EXPECT_OK(primaryCtxRelease(ordinal_));
}

cuda::StreamHandle FakeGpu::makeStream(unsigned flags) {
  cuda::StreamHandle stream = nullptr;
  EXPECT_OK(streamCreate(&stream, flags));
  streams_.push_back(stream);
  return stream;
}

cuda::DevicePtr FakeGpu::allocate(std::size_t bytes) {
  cuda::DevicePtr memory = 0;
  EXPECT_OK(memAlloc(&memory, bytes));
  memories_.push_back(memory);
  return memory;
}

cuda::FunctionHandle FakeGpu::load(const std::string& text, const char* kernel) {
  FakeNvrtc nvrtc;
  EXPECT_EQ(nvrtc.compile(text), cuda::NvrtcResult::success) << nvrtc.log;
  cuda::ModuleHandle module = nullptr;
  EXPECT_OK(moduleLoadDataEx(&module, nvrtc.cubin.data(), 0, nullptr, nullptr));
  modules_.push_back(module);
  cuda::FunctionHandle function = nullptr;
  EXPECT_OK(moduleGetFunction(&function, module, kernel));
  return function;
}

}  // namespace lockstep::testing
