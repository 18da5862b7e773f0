#include "executor/cuda/compiler.hpp"

#include <algorithm>
#include <string_view>

#include <dlfcn.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include "base/cuda/nvrtc.hpp"
#include "base/fail.hpp"
#include "base/printable.hpp"
#include "executor/cuda/prelude.hpp"
#include "executor/cuda/ptxas_log.hpp"

namespace lockstep::cuda {

namespace {

constexpr int kLinesOfAnError = 20;

bool isOlder(int major, int minor, int thanMajor, int thanMinor) {
  return major < thanMajor || (major == thanMajor && minor < thanMinor);
}

std::string firstLines(const std::string& text) {
  auto end = text.find('\n');
  for (int line = 1; line < kLinesOfAnError && end != std::string::npos; ++line)
    end = text.find('\n', end + 1);
  return printableLines(text.substr(0, end));
}

std::vector<Program::Header> headers() {
  std::vector<Program::Header> all;
  for (const PreludeFile& file : prelude())
    all.push_back({std::string(file.name), std::string(file.text)});
  return all;
}

/// Texts one after the other, each with its length, so that no two lists look alike.
class Ingredients {
 public:
  void add(std::string_view text) { all_ += fmt::format("{}:{}\n", text.size(), text); }
  cc::Digest digest() const { return cc::digest(all_); }

 private:
  std::string all_;
};

/// Which build of NVRTC this is: versions of the same number differ, and tests have their own.
std::string identity(const Nvrtc& nvrtc) {
  std::string said = fmt::format("NVRTC {}.{}", nvrtc.major, nvrtc.minor);
  Dl_info library{};
  struct stat status {};
  if (::dladdr(reinterpret_cast<void*>(nvrtc.compileProgram), &library) != 0 &&
      ::stat(library.dli_fname, &status) == 0)
    said += fmt::format(" {} {} {}.{}", library.dli_fname, status.st_size, status.st_mtim.tv_sec,
                        status.st_mtim.tv_nsec);
  return said;
}

std::vector<std::byte> bytesOf(std::string_view text) {
  const auto* first = reinterpret_cast<const std::byte*>(text.data());
  return {first, first + text.size()};
}

}  // namespace

Target targetFor(Chip chip, int nvrtcMajor, int nvrtcMinor, std::span<const int> architectures) {
  // 128-bit accesses that are atomic came with PTX ISA 8.3 (prelude/platform_gpu.cuh).
  if (isOlder(nvrtcMajor, nvrtcMinor, 12, 3))
    fail(ErrorCode::unsupported,
         "NVRTC {}.{} is too old for Lockstep's kernels; install that of CUDA 12.3 or newer",
         nvrtcMajor, nvrtcMinor);
  const auto above = std::ranges::upper_bound(architectures, chip.number());
  if (above == architectures.begin())
    fail(ErrorCode::unsupported,
         "NVRTC {}.{} does not compile for a GPU as old as sm_{}; install that of an older CUDA, "
         "and name it with LOCKSTEP_NVRTC_LIBRARY",
         nvrtcMajor, nvrtcMinor, chip.number());
  const int nearest = *(above - 1);
  if (nearest == chip.number()) return {fmt::format("sm_{}", nearest), {}};
  return {
      fmt::format("compute_{}", nearest),
      fmt::format("NVRTC {}.{} does not know sm_{}: its kernels are PTX of compute_{}, which the "
                  "driver compiles",
                  nvrtcMajor, nvrtcMinor, chip.number(), nearest)};
}

Target targetFor(Chip chip) {
  const Nvrtc& compiler = nvrtc();
  return targetFor(chip, compiler.major, compiler.minor, compiler.architectures);
}

std::vector<std::string> compilerOptions(const KernelSource& source, const Target& target,
                                         int nvrtcMajor, int nvrtcMinor) {
  std::vector<std::string> options{"--gpu-architecture=" + target.architecture, "--std=c++20",
                                   "--device-as-default-execution-space", "--fmad=false",
                                   "--ptxas-options=--verbose"};
  // Its own cache lies in a folder that we do not look after, and what comes from there comes
  // without the words of ptxas.
  if (!isOlder(nvrtcMajor, nvrtcMinor, 12, 9)) options.emplace_back("--no-cache");
  for (const std::string& define : source.defines) options.push_back("-D" + define);
  return options;
}

Cubin compile(const KernelSource& source, Chip chip) {
  const Target target = targetFor(chip);
  Program program = Program::create(source.text, source.name + ".cu", headers());
  const bool compiled =
      program.compile(compilerOptions(source, target, nvrtc().major, nvrtc().minor));
  std::string log = program.log();
  if (!compiled)
    fail(ErrorCode::internal,
         "the kernel {} does not compile for {}, which is a bug of Lockstep; NVRTC {}.{} says:\n{}",
         source.name, target.architecture, nvrtc().major, nvrtc().minor, firstLines(log));
  Cubin cubin{source.name, target.architecture, {}, resourcesIn(log, source.name), std::move(log)};
  cubin.image = bytesOf(cubin.isPtx() ? program.ptx() : program.cubin());
  return cubin;
}

cc::Digest cacheKey(const KernelSource& source, Chip chip, int driverVersion) {
  const Target target = targetFor(chip);
  Ingredients all;
  all.add(source.name);
  all.add(source.text);
  for (const std::string& option : compilerOptions(source, target, nvrtc().major, nvrtc().minor))
    all.add(option);
  for (const PreludeFile& file : prelude()) {
    all.add(file.name);
    all.add(file.text);
  }
  all.add(identity(nvrtc()));
  all.add(fmt::format("driver {} sm_{}", driverVersion, chip.number()));
  return all.digest();
}

}  // namespace lockstep::cuda
