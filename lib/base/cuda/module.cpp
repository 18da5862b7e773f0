#include "base/cuda/module.hpp"

#include <array>

#include "base/fail.hpp"
#include "base/printable.hpp"

namespace lockstep::cuda {

std::shared_ptr<const Module> Module::load(const PrimaryContext& context,
                                           const std::string& image) {
  const Current current(context);
  std::array<char, 4096> said{};
  std::array options{JitOption::errorLogBuffer, JitOption::errorLogBufferSize};
  std::array<void*, 2> values{said.data(), reinterpret_cast<void*>(said.size())};
  ModuleHandle handle = nullptr;
  const Result result = driver().moduleLoadDataEx(
      &handle, image.data(), static_cast<unsigned>(options.size()), options.data(), values.data());
  said.back() = '\0';
  check(result, "load {} bytes of machine code on GPU {}{}{}", image.size(), context.device(),
        said[0] == '\0' ? "" : ": ", printable(said.data()));
  return std::shared_ptr<const Module>(new Module({context, handle}));
}

Function Function::find(std::shared_ptr<const Module> module, const std::string& name) {
  const Current current(module->context());
  Function function;
  check(driver().moduleGetFunction(&function.handle_, module->handle(), name.c_str()),
        "find the kernel {}", name);
  function.module_ = std::move(module);
  function.name_ = name;
  return function;
}

int Function::attribute(FunctionAttribute attribute) const {
  const Current current(module_->context());
  int value = 0;
  check(driver().funcGetAttribute(&value, attribute, handle_), "ask for attribute {} of {}",
        static_cast<int>(attribute), name_);
  return value;
}

void Function::setDynamicShared(unsigned bytes) const {
  const Current current(module_->context());
  check(driver().funcSetAttribute(handle_, FunctionAttribute::maxDynamicSharedBytes,
                                  static_cast<int>(bytes)),
        "give {} {} bytes of shared memory", name_, bytes);
}

int Function::blocksPerMultiprocessor(unsigned threads, unsigned sharedBytes) const {
  const Current current(module_->context());
  int blocks = 0;
  check(driver().occupancyMaxActiveBlocks(&blocks, handle_, static_cast<int>(threads), sharedBytes),
        "ask how many blocks of {} run at once", name_);
  return blocks;
}

void Function::launch(const Launch& shape, StreamHandle stream, void** parameters) const {
  const Current current(module_->context());
  LaunchAttribute cooperative;
  cooperative.id = LaunchAttributeId::cooperative;
  cooperative.value.cooperative = 1;
  LaunchConfig config;
  config.gridX = shape.gridX;
  config.gridY = shape.gridY;
  config.blockX = shape.threads;
  config.sharedBytes = shape.sharedBytes;
  config.stream = stream;
  config.attributes = shape.cooperative ? &cooperative : nullptr;
  config.attributeCount = shape.cooperative ? 1 : 0;
  check(driver().launchKernelEx(&config, handle_, parameters, nullptr),
        "launch {} with {} x {} blocks of {} threads and {} bytes of shared memory", name_,
        shape.gridX, shape.gridY, shape.threads, shape.sharedBytes);
}

}  // namespace lockstep::cuda
