// The fake driver as the library sees a driver, and kernels on it, for tests of the fake itself.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/cuda/driver.hpp"
#include "base/cuda/library.hpp"
#include "base/cuda/nvrtc.hpp"

namespace lockstep::testing {

using cuda::Result;

/// Whether the fake can keep the host from device memory here.
bool hasProtectionKeys();

/// Symbols of liblockstep_fake_cuda.so. Not initialised.
struct FakeDriver : cuda::Driver {
  FakeDriver();
  cuda::Library library;
  std::string missing;  ///< what lookUp() said
  /// What is alive in this process.
  std::string alive() const;
};

struct FakeNvrtc : cuda::Nvrtc {
  FakeNvrtc();
  cuda::Library library;

  /// Compiles a text that may include the prelude, for sm_90.
  cuda::NvrtcResult compile(const std::string& text, std::vector<const char*> more = {});
  std::string cubin, log;  ///< of the last compile()
};

#define EXPECT_OK(call) EXPECT_EQ(call, Result::success)
#define ASSERT_OK(call) ASSERT_EQ(call, Result::success)

/// A GPU with its context current in this thread.
class FakeGpu : public FakeDriver {
 public:
  explicit FakeGpu(int ordinal = 0);
  FakeGpu(const FakeGpu&) = delete;
  FakeGpu& operator=(const FakeGpu&) = delete;
  ~FakeGpu();

  cuda::ContextHandle context = nullptr;

  cuda::StreamHandle makeStream(unsigned flags = cuda::kStreamNonBlocking);
  cuda::DevicePtr allocate(std::size_t bytes);
  cuda::FunctionHandle load(const std::string& text, const char* kernel);
  /// Launches with one parameter, `launch`.
  template <class Launch>
  Result launch(cuda::FunctionHandle function, const Launch& launch, unsigned blocks,
                cuda::StreamHandle stream) {
    Launch copy = launch;
    void* parameters[] = {&copy};
    cuda::LaunchConfig config;
    config.gridX = blocks;
    config.stream = stream;
    return launchKernelEx(&config, function, parameters, nullptr);
  }
  template <class T>
  T read(cuda::DevicePtr at) {
    T value{};
    EXPECT_OK(memcpyDtoH(&value, at, sizeof value));
    return value;
  }

 private:
  int ordinal_;
  std::vector<cuda::StreamHandle> streams_;
  std::vector<cuda::DevicePtr> memories_;
  std::vector<cuda::ModuleHandle> modules_;
};

}  // namespace lockstep::testing
