#include "base/cuda/devices.hpp"

#include <array>

#include "base/printable.hpp"

namespace lockstep::cuda {

Devices listDevices() {
  Devices devices;
  try {
    int count = 0;
    check(driver().deviceGetCount(&count), "count the GPUs");
    for (int i = 0; i < count; ++i) devices.list.push_back(deviceInfo(i));
  } catch (const Error& error) {
    devices = {{}, error.what()};
  }
  return devices;
}

DeviceInfo deviceInfo(int ordinal) {
  const Driver& d = driver();
  Device device = 0;
  check(d.deviceGet(&device, ordinal), "find GPU {}", ordinal);
  std::array<char, 256> name{};
  check(d.deviceGetName(name.data(), static_cast<int>(name.size()), device),
        "ask GPU {} for its name", ordinal);
  name.back() = '\0';
  DeviceInfo info;
  info.ordinal = ordinal;
  info.name = printable(name.data());
  info.computeMajor = attribute(device, DeviceAttribute::computeCapabilityMajor);
  info.computeMinor = attribute(device, DeviceAttribute::computeCapabilityMinor);
  info.multiprocessors = attribute(device, DeviceAttribute::multiprocessorCount);
  check(d.deviceTotalMem(&info.memoryBytes, device), "ask GPU {} for its memory", ordinal);
  info.emulated = info.name.starts_with("Lockstep emulated");
  return info;
}

int attribute(Device device, DeviceAttribute attribute) {
  int value = 0;
  check(driver().deviceGetAttribute(&value, attribute, device), "ask GPU {} for attribute {}",
        device, static_cast<int>(attribute));
  return value;
}

Uuid uuid(Device device) {
  Uuid id{};
  check(driver().deviceGetUuid(&id, device), "ask GPU {} for its UUID", device);
  return id;
}

bool canReach(Device from, Device to) {
  if (from == to) return true;
  int can = 0;
  check(driver().deviceCanAccessPeer(&can, from, to), "ask whether GPU {} reaches GPU {}", from,
        to);
  return can != 0;
}

}  // namespace lockstep::cuda
