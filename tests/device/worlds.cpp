#include "device/worlds.hpp"

#include <cstring>

#include <fmt/format.h>

namespace lockstep::test {
namespace {

std::string playApart(const DeviceWorld& world, const ControlRank& body) {
  MeetingHost meeting(world.size);
  const Environment environment = withKernels(world.environment);
  const auto said = runProcesses(world.size, [&](int rank) {
    enter(environment);
    const auto play = [&](int r) {
      auto control =
          Communicator::create(UniqueId::parse(meeting.name()), r, world.size, world.options);
      return body(control);
    };
    return leave(runCaught(play, rank));
  });
  return failuresOf(said);
}

std::string playInOne(const DeviceWorld& world, const ControlRank& body) {
  return runProcesses(1, [&](int) {
    enter(withKernels(world.environment));
    auto controls = Communicator::createInProcess(world.size, world.options);
    const auto said = runThreads(world.size, [&](int rank) {
      Communicator control = std::move(controls[static_cast<std::size_t>(rank)]);
      return body(control);
    });
    return leave(failuresOf(said));
  })[0];
}

}  // namespace

Environment withKernels(const Environment& more) {
  Environment all;
  if (!onRealGpus())
    all = {{"LOCKSTEP_NVRTC_LIBRARY", LOCKSTEP_FAKE_NVRTC},
           {"LOCKSTEP_CACHE_DIR", LOCKSTEP_BINARY_DIR "/device_kernels"}};
  for (const auto& [name, value] : more) all[name] = value;
  return all;
}

Options modeOf(Mode mode) {
  Options options;
  options.mode = mode;
  options.timeout = 20s;
  options.insecureKeys = true;
  return options;
}

DeviceOptions smallOptions(std::vector<Collective> collectives, std::vector<DataType> types,
                           std::vector<Reduction> reductions) {
  DeviceOptions options;
  options.heapBytes = std::size_t{4} << 20;
  options.blocks = 2;
  options.slotBytes = 4096;
  options.collectives = std::move(collectives);
  options.types = std::move(types);
  options.reductions = std::move(reductions);
  return options;
}

std::string playControl(const DeviceWorld& world, const ControlRank& body) {
  return world.ranks == Ranks::threads ? playInOne(world, body) : playApart(world, body);
}

std::string playDeviceWorld(const DeviceWorld& world, const Play& body) {
  return playControl(world, [&](Communicator& control) {
    auto device = DeviceCommunicator::create(control, world.device);
    Player player{control, device, cuda::PrimaryContext::retain(device.device().ordinal)};
    return body(player);
  });
}

cuda::DeviceMemory Player::floats(std::size_t count,
                                  const std::function<float(std::size_t)>& value) const {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = value(i);
  cuda::DeviceMemory memory = allocate(std::max<std::size_t>(1, count * sizeof(float)));
  if (count != 0) write(memory.pointer(), std::as_bytes(std::span(values)));
  return memory;
}

void Player::write(void* to, std::span<const std::byte> from) const {
  cuda::copyToDevice(context, reinterpret_cast<cuda::DevicePtr>(to), from);
}

std::vector<std::byte> Player::read(const void* from, std::size_t bytes) const {
  std::vector<std::byte> data(bytes);
  if (bytes != 0) cuda::copyToHost(context, data, reinterpret_cast<cuda::DevicePtr>(from));
  return data;
}

std::string Player::differs(const void* at, std::size_t count,
                            const std::function<float(std::size_t)>& value) const {
  const auto bytes = read(at, count * sizeof(float));
  for (std::size_t i = 0; i < count; ++i) {
    float got = 0;
    std::memcpy(&got, bytes.data() + i * sizeof got, sizeof got);
    if (got != value(i)) return fmt::format("element {} is {}, not {}", i, got, value(i));
  }
  return {};
}

std::string errorOf(const std::function<void()>& call) {
  try {
    call();
    return {};
  } catch (const Error& e) {
    return fmt::format("{}({}): {}", name(e.code()), e.rank(), e.what());
  }
}

std::string lacks(const std::string& said, std::initializer_list<std::string_view> parts) {
  for (const auto part : parts)
    if (said.find(part) == std::string::npos)
      return fmt::format("\"{}\" is not in \"{}\"", part, said);
  return {};
}

}  // namespace lockstep::test
