// A driver of which any function may fail, in any way, or answer with all bits set.
#include <cstring>

#include <gtest/gtest.h>

#include "base/printable.hpp"
#include "topology/graph/graph.hpp"
#include "topology/probes/nvml/classify.hpp"
#include "topology/probes/nvml/gather.hpp"
#include "topology/probes/nvml/library.hpp"

namespace lockstep::topology::nvml {
namespace {

/// Asked in vain.
template <Return result, class Type>
struct Fails;
template <Return result, class... Arguments>
struct Fails<result, Return(Arguments...)> {
  static Return call(Arguments...) { return result; }
};

template <class Value>
void fillWith(int byte, Value* out) {
  std::memset(static_cast<void*>(out), byte, sizeof *out);
}
template <class Value>
void fillWith(int, Value) {}
/// A handle is the driver's own.
void fillWith(int, Device) {}

/// Says that it succeeded, and has set every byte: no text ends, counts are 2^32 - 1.
template <int byte, class Type>
struct Sets;
template <int byte, class... Arguments>
struct Sets<byte, Return(Arguments...)> {
  static Return call(Arguments... arguments) {
    (fillWith(byte, arguments), ...);
    return Return::success;
  }
};
template <int byte>
struct Sets<byte, Return(char*, unsigned)> {
  static Return call(char* text, unsigned size) {
    std::memset(text, byte, size);
    return Return::success;
  }
};
template <int byte>
struct Sets<byte, Return(Device, char*, unsigned)> {
  static Return call(Device, char* text, unsigned size) {
    std::memset(text, byte, size);
    return Return::success;
  }
};

#define ALL_BUT_SESSIONS(X)                                                                  \
  X(nvmlSystemGetDriverVersion)                                                              \
  X(nvmlDeviceGetCount_v2)                                                                   \
  X(nvmlDeviceGetHandleByIndex_v2) X(nvmlDeviceGetPciInfo_v3)                                \
      X(nvmlDeviceGetCudaComputeCapability) X(nvmlDeviceGetName) X(nvmlDeviceGetUUID)        \
          X(nvmlDeviceGetCurrPcieLinkGeneration) X(nvmlDeviceGetCurrPcieLinkWidth)           \
              X(nvmlDeviceGetMaxPcieLinkGeneration) X(nvmlDeviceGetMaxPcieLinkWidth)         \
                  X(nvmlDeviceGetNvLinkCapability) X(nvmlDeviceGetNvLinkState)               \
                      X(nvmlDeviceGetNvLinkRemotePciInfo_v2)                                 \
                          X(nvmlDeviceGetNvLinkRemoteDeviceType) X(nvmlDeviceGetFieldValues) \
                              X(nvmlDeviceGetP2PStatus) X(nvmlDeviceGetGpuFabricInfoV)       \
                                  X(nvmlSystemGetConfComputeSettings)                        \
                                      X(nvmlDeviceGetGpuFabricInfo)                          \
                                          X(nvmlSystemGetConfComputeState)

Return twoGpus(unsigned* count) {
  *count = 2;
  return Return::success;
}

Return handleOf(unsigned index, Device* device) {
  static char handles[kMostGpus];
  *device = reinterpret_cast<Device>(&handles[index]);
  return Return::success;
}

/// A PCI address for each of two GPUs.
Return placeOf(Device device, PciInfo* info) {
  Device first = nullptr;
  handleOf(0, &first);
  *info = PciInfo{};
  const char* id = device == first ? "00000000:01:00.0" : "00000000:02:00.0";
  std::memcpy(info->busId.data(), id, std::strlen(id));
  return Return::success;
}

/// Two GPUs; all else is zero.
Functions zeroes() {
  Functions nvml;
#define SET(name) nvml.name = Sets<0, std::remove_pointer_t<decltype(nvml.name)>>::call;
  ALL_BUT_SESSIONS(SET)
#undef SET
  nvml.nvmlDeviceGetCount_v2 = twoGpus;
  nvml.nvmlDeviceGetHandleByIndex_v2 = handleOf;
  nvml.nvmlDeviceGetPciInfo_v3 = placeOf;
  return nvml;
}

Finding found(const Functions& nvml) {
  Finding finding = classify(gather(nvml));
  requireSound(finding.inventory);
  const Graph graph(finding.inventory);
  EXPECT_EQ(graph.ofKind(NodeKind::gpu).size(), finding.inventory.gpus.size());
  for (const std::string& remark : finding.remarks) EXPECT_EQ(printableLines(remark), remark);
  return finding;
}

TEST(NvmlGather, FindsBothGpusOfADriverThatSaysLittle) {
  EXPECT_EQ(found(zeroes()).inventory.gpus.size(), 2U);
}

TEST(NvmlGather, AnyCallMayFail){
#define FAIL_ONE(name)                                                                        \
  {                                                                                           \
    SCOPED_TRACE(#name);                                                                      \
    Functions nvml = zeroes();                                                                \
    using Type = std::remove_pointer_t<decltype(nvml.name)>;                                  \
    for (auto* call :                                                                         \
         {Fails<Return::unknown, Type>::call, Fails<Return::gpuIsLost, Type>::call,           \
          Fails<Return::notSupported, Type>::call, Fails<Return{0xffffffffU}, Type>::call}) { \
      nvml.name = call;                                                                       \
      EXPECT_LE(found(nvml).inventory.gpus.size(), 2U);                                       \
    }                                                                                         \
  }
    ALL_BUT_SESSIONS(FAIL_ONE)
#undef FAIL_ONE
}

TEST(NvmlGather, AnyCallMaySetAllBits){
#define FILL_ONE(name)                                                                         \
  {                                                                                            \
    SCOPED_TRACE(#name);                                                                       \
    Functions nvml = zeroes();                                                                 \
    using Type = std::remove_pointer_t<decltype(nvml.name)>;                                   \
    for (auto* call : {Sets<0xff, Type>::call, Sets<0x7f, Type>::call, Sets<1, Type>::call}) { \
      nvml.name = call;                                                                        \
      EXPECT_LE(found(nvml).inventory.gpus.size(), kMostGpus);                                 \
    }                                                                                          \
  }

    ALL_BUT_SESSIONS(FILL_ONE)
#undef FILL_ONE
}

TEST(NvmlGather, AllCallsMayAtOnce) {
  Functions nvml = zeroes();
#define SET(name) nvml.name = Sets<0xff, std::remove_pointer_t<decltype(nvml.name)>>::call;
  ALL_BUT_SESSIONS(SET)
#undef SET
  EXPECT_TRUE(found(nvml).inventory.gpus.empty());  // none has a PCI address
}

}  // namespace
}  // namespace lockstep::topology::nvml
