// What the driver says of the machine's GPUs.
#pragma once

#include "base/cuda/driver.hpp"
#include <lockstep/device.hpp>

namespace lockstep::cuda {

/// lockstep::devices().
Devices listDevices();

/// Of one GPU, by its ordinal. Throws unsupported, system.
DeviceInfo deviceInfo(int ordinal);

int attribute(Device device, DeviceAttribute attribute);
/// The same in every process, where ordinals may differ (CUDA_VISIBLE_DEVICES).
Uuid uuid(Device device);
/// Whether kernels of `from` can read and write memory of `to`. A device can reach its own.
bool canReach(Device from, Device to);

}  // namespace lockstep::cuda
