#include "base/cuda/driver.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/cuda/devices.hpp"
#include "cuda/recording_driver.hpp"
#include <lockstep/error.hpp>

namespace lockstep::cuda {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// What check() throws for a result.
Error errorOf(Result result) {
  try {
    check(result, "map {} bytes", 64);
  } catch (const Error& error) {
    return error;
  }
  return {ErrorCode::internal, "nothing was thrown"};
}

TEST(CudaDriver, SuccessThrowsNothing) {
  EXPECT_NO_THROW(check(Result::success, "map {} bytes", 64));
}

TEST(CudaDriver, ErrorsSayWhatWasTriedWhatTheDriverSaysAndWhatToDo) {
  const Recording recording;
  EXPECT_STREQ(errorOf(Result::outOfMemory).what(),
               "cannot map 64 bytes: CUDA_ERROR_OUT_OF_MEMORY (the driver's words); ask for less "
               "(DeviceOptions::heapBytes), or see in nvidia-smi who has the memory");
  EXPECT_THAT(errorOf(Result::notInitialized).what(), HasSubstr("fork"));
  EXPECT_THAT(errorOf(Result::noDevice).what(), HasSubstr("CUDA_VISIBLE_DEVICES"));
  EXPECT_THAT(errorOf(Result::peerAccessUnsupported).what(), HasSubstr("topo -p2p"));
  EXPECT_THAT(errorOf(Result::systemNotReady).what(), HasSubstr("fabricmanager"));
  EXPECT_THAT(errorOf(Result::illegalAddress).what(), HasSubstr("compute-sanitizer"));
  EXPECT_STREQ(errorOf(Result::invalidValue).what(),
               "cannot map 64 bytes: CUDA_ERROR_OTHER (the driver's words)");
}

TEST(CudaDriver, WhatTheMachineCannotDoIsUnsupported) {
  const Recording recording;
  for (const Result result : {Result::noDevice, Result::notSupported, Result::stubLibrary,
                              Result::peerAccessUnsupported, Result::systemDriverMismatch})
    EXPECT_EQ(errorOf(result).code(), ErrorCode::unsupported);
  for (const Result result : {Result::outOfMemory, Result::invalidValue, Result::unknown})
    EXPECT_EQ(errorOf(result).code(), ErrorCode::system);
}

TEST(CudaDriver, ErrorsThatTheDriverDoesNotKnowHaveANumber) {
  Recording recording;
  recording.driver().getErrorName = [](Result, const char**) { return Result::invalidValue; };
  EXPECT_THAT(errorOf(static_cast<Result>(4242)).what(), HasSubstr("CUDA error 4242"));
  recording.driver().getErrorName = [](Result, const char** text) {
    *text = nullptr;
    return Result::success;
  };
  EXPECT_THAT(errorOf(Result::unknown).what(), HasSubstr("CUDA error 999"));
}

TEST(CudaDriver, StartSaysWhyItCannotBeUsed) {
  Recording recording;
  Driver& driver = recording.driver();
  driver.driverGetVersion = [](int* version) {
    *version = 12080;
    return Result::success;
  };
  EXPECT_EQ(driver.start(), "");
  EXPECT_EQ(driver.version, 12080);
  recording->failures["init"] = Result::systemNotReady;
  EXPECT_THAT(driver.start(), AllOf(HasSubstr("cuInit says CUDA_ERROR_OTHER (the driver's words)"),
                                    HasSubstr("fabricmanager")));
  recording->failures.clear();
  recording->failures["deviceGetCount"] = Result::outOfMemory;
  EXPECT_THAT(driver.start(), HasSubstr("cuDeviceGetCount says CUDA_ERROR_OUT_OF_MEMORY"));
  driver.deviceGetCount = [](int* count) {
    *count = 0;
    return Result::success;
  };
  EXPECT_THAT(driver.start(), HasSubstr("the driver sees none; see whether nvidia-smi lists one"));
}

TEST(CudaDevices, AreListed) {
  const Recording recording;
  const Devices devices = listDevices();
  EXPECT_EQ(devices.none, "");
  ASSERT_EQ(devices.list.size(), 2U);
  const DeviceInfo& second = devices.list[1];
  EXPECT_EQ(second.ordinal, 1);
  EXPECT_EQ(second.name, "Recorded \xEF\xBF\xBD[31mGPU");  // safe to print
  EXPECT_EQ(second.computeMajor, static_cast<int>(DeviceAttribute::computeCapabilityMajor));
  EXPECT_EQ(second.computeMinor, static_cast<int>(DeviceAttribute::computeCapabilityMinor));
  EXPECT_EQ(second.multiprocessors, static_cast<int>(DeviceAttribute::multiprocessorCount));
  EXPECT_EQ(second.memoryBytes, std::size_t{80} << 30);
  EXPECT_FALSE(second.emulated);
}

TEST(CudaDevices, EmulatedOnesSaySo) {
  Recording recording;
  recording.driver().deviceGetName = [](char* name, int size, Device) {
    std::string_view("Lockstep emulated GPU").copy(name, static_cast<std::size_t>(size));
    return Result::success;
  };
  EXPECT_TRUE(deviceInfo(0).emulated);
}

TEST(CudaDevices, FailuresAreToldNotThrown) {
  Recording recording;
  recording->failures["deviceGetName"] = Result::outOfMemory;
  const Devices devices = listDevices();
  EXPECT_THAT(devices.list, IsEmpty());
  EXPECT_THAT(devices.none, HasSubstr("CUDA_ERROR_OUT_OF_MEMORY"));
}

TEST(CudaDevices, ReachThemselves) {
  const Recording recording;
  EXPECT_TRUE(canReach(1, 1));
  EXPECT_FALSE(canReach(0, 1));
}

}  // namespace
}  // namespace lockstep::cuda
