// NVRTC, the compiler of CUDA C++ as a library, opened at run time. It needs no GPU.
#pragma once

#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include <fmt/format.h>

namespace lockstep::cuda {

/// nvrtcResult. Only the ones that we tell apart; any other value can occur.
enum class NvrtcResult : int {
  success = 0,         // NVRTC_SUCCESS
  outOfMemory = 1,     // NVRTC_ERROR_OUT_OF_MEMORY
  invalidInput = 3,    // NVRTC_ERROR_INVALID_INPUT
  invalidProgram = 4,  // NVRTC_ERROR_INVALID_PROGRAM
  invalidOption = 5,   // NVRTC_ERROR_INVALID_OPTION
  compilation = 6,     // NVRTC_ERROR_COMPILATION
  internalError = 11,  // NVRTC_ERROR_INTERNAL_ERROR
};

using ProgramHandle = struct OpaqueProgram*;  // nvrtcProgram

}  // namespace lockstep::cuda

/// Every function of NVRTC that we call: X(our name, symbol, CUDA version that brought it, type).
/// All are required.
#define LOCKSTEP_NVRTC_REQUIRED(X)                                                             \
  X(getErrorString, nvrtcGetErrorString, 7000, const char*(NvrtcResult))                       \
  X(getVersion, nvrtcVersion, 7000, NvrtcResult(int*, int*))                                   \
  X(getNumSupportedArchs, nvrtcGetNumSupportedArchs, 11020, NvrtcResult(int*))                 \
  X(getSupportedArchs, nvrtcGetSupportedArchs, 11020, NvrtcResult(int*))                       \
  X(createProgram, nvrtcCreateProgram, 7000,                                                   \
    NvrtcResult(ProgramHandle*, const char* source, const char* name, int headerCount,         \
                const char* const* headers, const char* const* headerNames))                   \
  X(destroyProgram, nvrtcDestroyProgram, 7000, NvrtcResult(ProgramHandle*))                    \
  X(compileProgram, nvrtcCompileProgram, 7000,                                                 \
    NvrtcResult(ProgramHandle, int optionCount, const char* const* options))                   \
  X(getProgramLogSize, nvrtcGetProgramLogSize, 7000, NvrtcResult(ProgramHandle, std::size_t*)) \
  X(getProgramLog, nvrtcGetProgramLog, 7000, NvrtcResult(ProgramHandle, char*))                \
  X(getPtxSize, nvrtcGetPTXSize, 7000, NvrtcResult(ProgramHandle, std::size_t*))               \
  X(getPtx, nvrtcGetPTX, 7000, NvrtcResult(ProgramHandle, char*))                              \
  X(getCubinSize, nvrtcGetCUBINSize, 11010, NvrtcResult(ProgramHandle, std::size_t*))          \
  X(getCubin, nvrtcGetCUBIN, 11010, NvrtcResult(ProgramHandle, char*))

namespace lockstep::cuda {

class Library;

/// Pointers to NVRTC's functions.
struct Nvrtc {
#define LOCKSTEP_NVRTC_POINTER(member, symbol, since, ...) \
  std::add_pointer_t<__VA_ARGS__> member = nullptr;
  LOCKSTEP_NVRTC_REQUIRED(LOCKSTEP_NVRTC_POINTER)
#undef LOCKSTEP_NVRTC_POINTER
  int major = 0, minor = 0;        ///< 13, 0
  std::vector<int> architectures;  ///< that it compiles for, ascending: 80 for sm_80
  std::string file;                ///< that it was loaded from

  /// Looks up every symbol. Says which is missing; empty when none is.
  std::string lookUp(const Library& library);
  /// Asks it for its version and architectures. Says why it cannot be used; empty when it can.
  std::string start();
};

/// Names that its file may have, the best first, for a driver of this version (12040 for CUDA 12.4,
/// 0 for none): the newest, but of the driver's own major version where that is older, since a
/// driver does not load what compilers of later ones made.
std::vector<std::string> nvrtcNames(int driverVersion);

/// NVRTC, opened by the first call of any of these in the process and kept until its end. Throws
/// unsupported, "no kernels because ..", where there is none.
const Nvrtc& nvrtc();
/// nullptr where there is none.
const Nvrtc* findNvrtc();
/// Why there is none; empty where there is.
const std::string& nvrtcWhyNot();

/// A text that is compiled, and what became of it. Programs of different threads compile in
/// parallel.
class Program {
 public:
  struct Header {
    std::string name;  ///< as #include gives it
    std::string text;
  };
  /// `name` is what messages of the compiler call the text.
  static Program create(const std::string& text, const std::string& name,
                        std::span<const Header> headers);
  Program(Program&& other) noexcept;
  Program& operator=(Program&& other) noexcept;
  ~Program();

  /// Compiles with NVRTC's options ("--gpu-architecture=sm_90"). False where the text does not
  /// compile: log() says why. Throws invalidArgument for an option NVRTC does not know, system for
  /// failures of its own.
  [[nodiscard]] bool compile(std::span<const std::string> options);
  /// What the compiler said, warnings included. Empty before compile().
  std::string log() const;
  /// Machine code. Throws internal unless it was compiled for a real architecture (sm_..).
  std::string cubin() const;
  /// For the driver to compile, where the GPU is newer than NVRTC. Throws internal unless it was
  /// compiled.
  std::string ptx() const;

 private:
  explicit Program(ProgramHandle handle) noexcept : handle_(handle) {}
  std::string output(const char* what, NvrtcResult (*getSize)(ProgramHandle, std::size_t*),
                     NvrtcResult (*get)(ProgramHandle, char*)) const;
  ProgramHandle handle_ = nullptr;
};

}  // namespace lockstep::cuda
