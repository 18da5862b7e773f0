// Worlds of ranks with a DeviceCommunicator each, on emulated GPUs: fresh processes, one for all
// ranks or one for each.
#pragma once

#include <functional>
#include <string>

#include "base/cuda/memory.hpp"
#include "cuda/device_worlds.hpp"
#include <lockstep/device.hpp>
#include <lockstep/lockstep.hpp>

namespace lockstep::test {

struct DeviceWorld {
  Ranks ranks = Ranks::threads;
  int size = 2;
  Options options = {};
  DeviceOptions device = {};
  Environment environment = {};
};

/// What a process enters: with kernels that are compiled once for all tests of this build, and
/// `more`.
Environment withKernels(const Environment& more = {});

/// A mode, with a time limit that suits a loaded machine.
Options modeOf(Mode mode);
/// Small geometry, so that few elements are many messages, and kernels of `collectives` alone.
DeviceOptions smallOptions(std::vector<Collective> collectives,
                           std::vector<DataType> types = {DataType::f32},
                           std::vector<Reduction> reductions = {Reduction::sum});

/// "" or what went wrong.
using ControlRank = std::function<std::string(Communicator& control)>;
/// Plays a world whose ranks make their own DeviceCommunicators, or try to.
std::string playControl(const DeviceWorld& world, const ControlRank& body);

/// One rank, ready to call.
struct Player {
  Communicator& control;
  DeviceCommunicator& device;
  cuda::PrimaryContext context;

  int rank() const { return device.rank(); }
  int world() const { return device.worldSize(); }
  cuda::DeviceMemory allocate(std::size_t bytes) const {
    return cuda::DeviceMemory::allocate(context, bytes);
  }
  /// Of floats: value(0), value(1), ..
  cuda::DeviceMemory floats(std::size_t count,
                            const std::function<float(std::size_t)>& value) const;
  void write(void* to, std::span<const std::byte> from) const;
  std::vector<std::byte> read(const void* from, std::size_t bytes) const;
  /// The first of `count` floats there that is not value(i), in words; or "".
  std::string differs(const void* at, std::size_t count,
                      const std::function<float(std::size_t)>& value) const;
};
using Play = std::function<std::string(Player& player)>;
/// Plays a world whose communicators can be made.
std::string playDeviceWorld(const DeviceWorld& world, const Play& body);

/// What `call` throws: "" if it throws nothing, else "timeout(1): text".
std::string errorOf(const std::function<void()>& call);
/// "" if `said` has all of `parts`, else `said`.
std::string lacks(const std::string& said, std::initializer_list<std::string_view> parts);

}  // namespace lockstep::test
