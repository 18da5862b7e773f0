// liblockstep_fake_nvrtc.so: programs become shared objects for the host.
#include "base/cuda/nvrtc.hpp"

#include <array>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <stdexcept>

#include <unistd.h>

#include "cuda/fake_driver/exports.hpp"
#include "cuda/fake_driver/host_compiler.hpp"
#include "cuda/fake_driver/image.hpp"
#include "cuda/fake_driver/table.hpp"

namespace lockstep::cuda::fake {

LOCKSTEP_NVRTC_REQUIRED(LOCKSTEP_FAKE_DECLARE)

namespace {

/// What CUDA 13.0's compiles for.
constexpr std::array kArchitectures{75, 80, 86, 87, 88, 89, 90, 100, 103, 110, 120, 121};

struct RefusedByNvrtc {
  NvrtcResult result;
};

void demand(bool holds, NvrtcResult otherwise = NvrtcResult::invalidInput) {
  if (!holds) throw RefusedByNvrtc{otherwise};
}

/// One that is being compiled is its thread's alone.
struct CompiledProgram {
  std::vector<SourceText> texts;
  std::string log;
  std::string image;
  bool isMachineCode = false;
};

Table<ProgramHandle, CompiledProgram>& programs() {
  static auto* const all = new Table<ProgramHandle, CompiledProgram>(8);
  return *all;
}

struct Border {
  template <class Work>
  static NvrtcResult call(const char* symbol, Work work) noexcept {
    try {
      if (const int code = injectedFailure(symbol, -1)) return NvrtcResult{code};
      work();
      return NvrtcResult::success;
    } catch (const RefusedByNvrtc& refused) {
      return refused.result;
    } catch (const Refused&) {  // by the table
      return NvrtcResult::invalidProgram;
    } catch (const std::bad_alloc&) {
      return NvrtcResult::outOfMemory;
    } catch (...) {
      return NvrtcResult::internalError;
    }
  }
};

/// A path below the folder that the compiler runs in.
bool isBelow(const std::string& name) {
  const std::filesystem::path path(name);
  return !path.empty() && path.is_relative() &&
         std::ranges::find(path, std::filesystem::path("..")) == path.end();
}

/// Options that change nothing here.
bool isIgnored(std::string_view option) {
  constexpr std::array<std::string_view, 15> kPrefixes{
      "--std=",          "-std=",           "--device-as-default-execution-space",
      "-default-device", "--ptxas-options", "-Xptxas",
      "--fmad=",         "-fmad=",          "--no-cache",
      "--restrict",      "-lineinfo",       "--generate-line-info",
      "--diag-",         "--maxrregcount=", "--extra-device-vectorization"};
  return std::ranges::any_of(kPrefixes, [&](auto known) { return option.starts_with(known); });
}

struct Options {
  unsigned chip = 75;
  bool isMachineCode = false;
  std::vector<std::string> defines;
};

/// What follows one of the names in an option; null where none of them begins it.
const char* valueOf(const char* option, std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names)
    if (std::string_view(option).starts_with(name)) return option + name.size();
  return nullptr;
}

void readArchitecture(Options& options, std::string_view value) {
  options.isMachineCode = value.starts_with("sm_");
  demand(options.isMachineCode || value.starts_with("compute_"), NvrtcResult::invalidOption);
  const std::string number(value.substr(value.find('_') + 1));
  char* end = nullptr;
  const long chip = std::strtol(number.c_str(), &end, 10);
  const std::string_view feature(end);  // "a" of sm_90a, "f" of sm_100f
  demand(feature.empty() || feature == "a" || feature == "f", NvrtcResult::invalidOption);
  demand(std::ranges::find(kArchitectures, chip) != kArchitectures.end(),
         NvrtcResult::invalidOption);
  options.chip = static_cast<unsigned>(chip);
}

Options readOptions(int count, const char* const* texts) {
  demand(count >= 0 && (count == 0 || texts != nullptr));
  Options options;
  for (int i = 0; i < count; ++i) {
    demand(texts[i] != nullptr);
    if (const char* chip = valueOf(texts[i], {"--gpu-architecture=", "-arch="}))
      readArchitecture(options, chip);
    else if (const char* define = valueOf(texts[i], {"--define-macro=", "-D"}))
      options.defines.emplace_back(define);
    else
      demand(isIgnored(texts[i]), NvrtcResult::invalidOption);
  }
  return options;
}

std::string imageOf(const std::string& library, const Options& options) {
  ImageHead head;
  head.chip = options.chip;
  head.forAny = options.isMachineCode ? 0 : 1;
  head.bytes = library.size();
  return std::string(reinterpret_cast<const char*>(&head), sizeof head) + library;
}

void giveSize(std::size_t* bytes, std::size_t value) {
  demand(bytes != nullptr);
  *bytes = value;
}

void giveBytes(char* out, const std::string& bytes) {
  demand(out != nullptr);
  std::memcpy(out, bytes.data(), bytes.size());
}

/// Machine code, or what stands for PTX. An option that asks for the one gives none of the other,
/// but that PTX comes with machine code too.
const std::string& imageOf(ProgramHandle handle, bool machineCode) {
  static const std::string none;
  const auto program = programs().get(handle);
  demand(!program->image.empty(), NvrtcResult::invalidProgram);
  return machineCode && !program->isMachineCode ? none : program->image;
}

__attribute__((destructor)) void sayAtTheEnd() {
  if (!isSet("LOCKSTEP_FAKE_STRICT") || programs().size() == 0) return;
  std::fprintf(stderr, "lockstep_fake_nvrtc: still alive: %zu programs\n", programs().size());
  std::fflush(nullptr);
  ::_exit(99);
}

}  // namespace

const char* getErrorString(NvrtcResult result) {
  switch (result) {
    case NvrtcResult::success:
      return "NVRTC_SUCCESS";
    case NvrtcResult::outOfMemory:
      return "NVRTC_ERROR_OUT_OF_MEMORY";
    case NvrtcResult::invalidInput:
      return "NVRTC_ERROR_INVALID_INPUT";
    case NvrtcResult::invalidProgram:
      return "NVRTC_ERROR_INVALID_PROGRAM";
    case NvrtcResult::invalidOption:
      return "NVRTC_ERROR_INVALID_OPTION";
    case NvrtcResult::compilation:
      return "NVRTC_ERROR_COMPILATION";
    case NvrtcResult::internalError:
      return "NVRTC_ERROR_INTERNAL_ERROR";
  }
  return "NVRTC_ERROR unknown";
}

void getVersion(int* major, int* minor) {
  demand(major != nullptr && minor != nullptr);
  *major = 13;
  *minor = 0;
}

void getNumSupportedArchs(int* count) {
  demand(count != nullptr);
  *count = static_cast<int>(kArchitectures.size());
}

void getSupportedArchs(int* architectures) {
  demand(architectures != nullptr);
  std::ranges::copy(kArchitectures, architectures);
}

void createProgram(ProgramHandle* handle, const char* source, const char* name, int headerCount,
                   const char* const* headers, const char* const* headerNames) {
  demand(handle != nullptr && source != nullptr && headerCount >= 0);
  demand(headerCount == 0 || (headers != nullptr && headerNames != nullptr));
  auto program = std::make_shared<CompiledProgram>();
  program->texts.push_back({name == nullptr ? "default_program" : name, source});
  for (int i = 0; i < headerCount; ++i) program->texts.push_back({headerNames[i], headers[i]});
  for (const SourceText& text : program->texts) demand(isBelow(text.name));
  *handle = programs().add(std::move(program));
}

void destroyProgram(ProgramHandle* handle) {
  demand(handle != nullptr);
  programs().take(*handle);
  *handle = nullptr;
}

void compileProgram(ProgramHandle handle, int optionCount, const char* const* texts) {
  const auto program = programs().get(handle);
  const Options options = readOptions(optionCount, texts);
  Compiled compiled = compileForHost(program->texts, options.defines);
  program->log = std::move(compiled.log);
  program->isMachineCode = options.isMachineCode;
  program->image.clear();
  demand(!compiled.library.empty(), NvrtcResult::compilation);
  program->image = imageOf(compiled.library, options);
}

void getProgramLogSize(ProgramHandle handle, std::size_t* bytes) {
  giveSize(bytes, programs().get(handle)->log.size() + 1);
}
void getProgramLog(ProgramHandle handle, char* log) {
  giveBytes(log, programs().get(handle)->log + '\0');
}
void getCubinSize(ProgramHandle handle, std::size_t* bytes) {
  giveSize(bytes, imageOf(handle, true).size());
}
void getCubin(ProgramHandle handle, char* cubin) {
  giveBytes(cubin, imageOf(handle, true));
}
void getPtxSize(ProgramHandle handle, std::size_t* bytes) {
  giveSize(bytes, imageOf(handle, false).size());
}
void getPtx(ProgramHandle handle, char* ptx) {
  giveBytes(ptx, imageOf(handle, false));
}

#define EXPORT(member, symbol, since, ...) LOCKSTEP_FAKE_EXPORT(Border, member, symbol, __VA_ARGS__)
LOCKSTEP_NVRTC_REQUIRED(EXPORT)

}  // namespace lockstep::cuda::fake
