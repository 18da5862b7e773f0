#include "base/cuda/nvrtc.hpp"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <system_error>
#include <utility>

#include "base/cuda/driver.hpp"
#include "base/cuda/library.hpp"
#include "base/fail.hpp"
#include "base/printable.hpp"

namespace lockstep::cuda {

namespace {

/// The loader's own paths come before /usr/local/cuda*, where nobody may have told the loader to
/// look.
std::vector<std::string> candidates() {
  namespace fs = std::filesystem;
  const Driver* driver = findDriver();
  const std::vector<std::string> names = nvrtcNames(driver == nullptr ? 0 : driver->version);
  std::vector<std::string> toolkits;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/usr/local", ignored))
    if (entry.path().filename().string().starts_with("cuda"))
      toolkits.push_back(entry.path().string());
  std::ranges::sort(toolkits, std::greater{});
  std::vector<std::string> files = names;
  for (const std::string& name : names)
    for (const std::string& toolkit : toolkits)
      for (const char* folder : {"lib64", "lib"})
        if (const fs::path file = fs::path(toolkit) / folder / name; fs::exists(file, ignored))
          files.push_back(file.string());
  return files;
}

/// The process's NVRTC, never unloaded.
struct Opened {
  const std::vector<std::string> files = candidates();
  Library library{{.variable = "LOCKSTEP_NVRTC_LIBRARY",
                   .files = files,
                   .what = "NVRTC",
                   .advice = "install CUDA's run-time compiler (Debian: libnvrtc12, NVIDIA's "
                             "packages: cuda-nvrtc-13-0)"}};
  Nvrtc nvrtc;
  std::string whyNot;

  Opened() {
    whyNot = library.whyNot();
    if (whyNot.empty()) whyNot = nvrtc.lookUp(library);
    if (whyNot.empty()) whyNot = nvrtc.start();
  }
};

const Opened& opened() {
  static const Opened& once = *new Opened;
  return once;
}

std::string describe(NvrtcResult result) {
  const char* text = nvrtc().getErrorString(result);
  return text == nullptr ? fmt::format("NVRTC error {}", static_cast<int>(result))
                         : printable(text);
}

template <class... Args>
void check(NvrtcResult result, fmt::format_string<Args...> tried, Args&&... args) {
  if (result != NvrtcResult::success)
    fail(ErrorCode::system, "cannot {}: {}", fmt::format(tried, std::forward<Args>(args)...),
         describe(result));
}

std::vector<const char*> pointers(std::span<const std::string> texts) {
  std::vector<const char*> all;
  for (const std::string& text : texts) all.push_back(text.c_str());
  return all;
}

}  // namespace

std::string Nvrtc::lookUp(const Library& library) {
  std::string missing;
  const auto require = [&](bool found, const char* symbol, int since) {
    if (!found && missing.empty()) missing = library.lacks(symbol, since);
  };
#define LOCKSTEP_NVRTC_REQUIRE(member, symbol, since, ...) \
  require(library.find(#symbol, member), #symbol, since);
  LOCKSTEP_NVRTC_REQUIRED(LOCKSTEP_NVRTC_REQUIRE)
#undef LOCKSTEP_NVRTC_REQUIRE
  file = library.file();
  return missing;
}

std::string Nvrtc::start() {
  int count = 0;
  if (getVersion(&major, &minor) != NvrtcResult::success ||
      getNumSupportedArchs(&count) != NvrtcResult::success || count <= 0)
    return fmt::format("{} does not say what it compiles for", printable(file));
  architectures.resize(static_cast<std::size_t>(count));
  if (getSupportedArchs(architectures.data()) != NvrtcResult::success)
    return fmt::format("{} does not say what it compiles for", printable(file));
  std::ranges::sort(architectures);
  return "";
}

std::vector<std::string> nvrtcNames(int driverVersion) {
  if (driverVersion != 0 && driverVersion < 13000)
    return {"libnvrtc.so.12", "libnvrtc.so.13", "libnvrtc.so"};
  return {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"};
}

const Nvrtc* findNvrtc() {
  return nvrtcWhyNot().empty() ? &opened().nvrtc : nullptr;
}

const std::string& nvrtcWhyNot() {
  return opened().whyNot;
}

const Nvrtc& nvrtc() {
  if (const Nvrtc* found = findNvrtc()) return *found;
  fail(ErrorCode::unsupported, "no kernels because {}", nvrtcWhyNot());
}

Program Program::create(const std::string& text, const std::string& name,
                        std::span<const Header> headers) {
  std::vector<const char*> texts;
  std::vector<const char*> names;
  for (const Header& header : headers) {
    texts.push_back(header.text.c_str());
    names.push_back(header.name.c_str());
  }
  ProgramHandle handle = nullptr;
  check(nvrtc().createProgram(&handle, text.c_str(), name.c_str(), static_cast<int>(texts.size()),
                              texts.data(), names.data()),
        "make a program of {}", name);
  return Program(handle);
}

Program::Program(Program&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}

Program& Program::operator=(Program&& other) noexcept {
  std::swap(handle_, other.handle_);
  return *this;
}

Program::~Program() {
  if (handle_ != nullptr) findNvrtc()->destroyProgram(&handle_);
}

bool Program::compile(std::span<const std::string> options) {
  const auto arguments = pointers(options);
  const NvrtcResult result =
      nvrtc().compileProgram(handle_, static_cast<int>(arguments.size()), arguments.data());
  if (result == NvrtcResult::compilation) return false;
  if (result == NvrtcResult::invalidOption)
    fail(ErrorCode::invalidArgument, "NVRTC {}.{} does not know an option: {}", nvrtc().major,
         nvrtc().minor, printable(log()));
  check(result, "compile");
  return true;
}

std::string Program::log() const {
  std::size_t size = 0;  // with the NUL at its end
  check(nvrtc().getProgramLogSize(handle_, &size), "read what the compiler said");
  std::string text(size, '\0');
  if (size > 0) check(nvrtc().getProgramLog(handle_, text.data()), "read what the compiler said");
  text.resize(text.find_last_not_of('\0') + 1);
  return text;
}

std::string Program::cubin() const {
  return output("machine code", nvrtc().getCubinSize, nvrtc().getCubin);
}

std::string Program::ptx() const {
  return output("PTX", nvrtc().getPtxSize, nvrtc().getPtx);
}

std::string Program::output(const char* what, NvrtcResult (*getSize)(ProgramHandle, std::size_t*),
                            NvrtcResult (*get)(ProgramHandle, char*)) const {
  std::size_t size = 0;
  check(getSize(handle_, &size), "read the {}", what);
  if (size == 0) fail(ErrorCode::internal, "there is no {}: it was not compiled to that", what);
  std::string code(size, '\0');
  check(get(handle_, code.data()), "read the {}", what);
  return code;
}

}  // namespace lockstep::cuda
