#include "communicator/settings.hpp"

#include <array>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "base/fail.hpp"
#include "base/secret.hpp"

namespace lockstep {

namespace {

constexpr std::array kSettings{
    Setting{"LOCKSTEP_TIMEOUT_MS", "milliseconds", "30000",
            "bound of every wait (Options::timeout)"},
    Setting{"LOCKSTEP_ALGORITHM", "name", "", "forces an algorithm (Options::algorithm)"},
    Setting{"LOCKSTEP_PROTOCOL", "ll | simple | zero_copy", "",
            "forces a protocol (Options::protocol)"},
    Setting{"LOCKSTEP_CIPHER", "ipsec-mb | openssl", "", "forces an AEAD (Options::cipher)"},
    Setting{"LOCKSTEP_REKEY_BYTES", "bytes", "0",
            "sealed modes: replaces keys after so many, 0: 389 GB (Options::rekeyBytes)"},
    Setting{"LOCKSTEP_TUNING_FILE", "path", "", "tuning table in JSON (Options::tuningFile)"},
    Setting{"LOCKSTEP_REPRODUCIBLE", "0 | 1", "0",
            "1: the same bits for every run and way to run (Options::reproducible)"},
    Setting{"LOCKSTEP_CMA", "0 | 1", "1", "0: never process_vm_readv (Options::crossMemoryAttach)"},
    Setting{"LOCKSTEP_PROGRESS_THREAD", "0 | 1", "0",
            "1: a thread keeps asynchronous operations moving (Options::progressThread)"},
    Setting{"LOCKSTEP_CACHE_DIR", "path", "~/.cache/lockstep",
            "folder of compiled GPU kernels, its owner's alone (0700); empty: none are kept"},
    Setting{"LOCKSTEP_RANK", "number", "", "this process's rank (createFromEnvironment)"},
    Setting{"LOCKSTEP_WORLD_SIZE", "number", "",
            "how many ranks there are (createFromEnvironment)"},
    Setting{"LOCKSTEP_JOB", "text", "",
            "what ranks that belong together share (createFromEnvironment)"},
    Setting{"LOCKSTEP_CUDA_LIBRARY", "path", "", "the CUDA driver, instead of libcuda.so.1"},
    Setting{"LOCKSTEP_NVRTC_LIBRARY", "path", "",
            "CUDA's run-time compiler, instead of the newest libnvrtc"},
    Setting{"LOCKSTEP_NCCL_LIBRARY", "path", "",
            "NCCL for ccbench --baseline nccl, instead of libnccl.so.2"},
};

std::string_view variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view{} : std::string_view{value};
}

void fill(std::string& option, const char* name) {
  if (option.empty()) option = variable(name);
}

/// Nothing when it is not set.
std::optional<std::uint64_t> number(const char* name, std::uint64_t least, std::uint64_t most,
                                    std::string_view unit) {
  const auto text = variable(name);
  if (text.empty()) return std::nullopt;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < least || value > most)
    fail(ErrorCode::invalidArgument, "{} is '{}'; it takes {} to {} {}", name, text, least, most,
         unit);
  return value;
}

/// Nothing when it is not set.
std::optional<bool> yesOrNo(const char* name) {
  const auto text = variable(name);
  if (text.empty()) return std::nullopt;
  if (text != "0" && text != "1")
    fail(ErrorCode::invalidArgument, "{} is '{}'; it takes 0 or 1", name, text);
  return text == "1";
}

}  // namespace

std::span<const Setting> settings() {
  return kSettings;
}

Options withEnvironment(Options options) {
  const WipeAtEnd wiper(options.psk);  // of one that is refused
  if (options.timeout == Options{}.timeout)
    if (const auto ms = number("LOCKSTEP_TIMEOUT_MS", 1, 86400000, "milliseconds"))
      options.timeout = std::chrono::milliseconds(*ms);
  if (options.rekeyBytes == 0)
    if (const auto bytes = number("LOCKSTEP_REKEY_BYTES", 0, ~std::uint64_t{0}, "bytes"))
      options.rekeyBytes = *bytes;
  fill(options.algorithm, "LOCKSTEP_ALGORITHM");
  fill(options.protocol, "LOCKSTEP_PROTOCOL");
  fill(options.cipher, "LOCKSTEP_CIPHER");
  fill(options.tuningFile, "LOCKSTEP_TUNING_FILE");
  if (const auto on = yesOrNo("LOCKSTEP_REPRODUCIBLE"); on && *on) options.reproducible = true;
  if (const auto on = yesOrNo("LOCKSTEP_CMA"); on && !*on) options.crossMemoryAttach = false;
  if (const auto on = yesOrNo("LOCKSTEP_PROGRESS_THREAD"); on && *on) options.progressThread = true;
  return options;
}

}  // namespace lockstep
