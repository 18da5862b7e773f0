#include "bench/keygen.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "bench/output.hpp"
#include "bench/sizes.hpp"
#include "bench/subcommand.hpp"
#include "cc_mode/keys/psk.hpp"
#include <lockstep/error.hpp>

namespace lockstep::bench {

int runKeygen(const std::vector<std::string>& arguments) {
  CLI::App app("ccbench keygen: makes a pre-shared key for --psk, of 32 random bytes",
               "ccbench keygen");
  std::string file = "lockstep.psk";
  app.add_option("FILE", file, "Where to: must not exist; gets mode 0600")->capture_default_str();
  if (!readArguments(app, arguments)) return 0;
  try {
    cc::writePskFile(file);
  } catch (const Error& error) {
    throw UsageError(fmt::format("keygen: {}", error.what()));
  }
  print(
      fmt::format("wrote a fresh key of 32 bytes to {}, for its owner's eyes only\n"
                  "use it: ccbench --mode cc --psk {}\n",
                  file, file));
  return 0;
}

std::vector<std::byte> readOrDrawPsk(const std::string& path) {
  if (path.empty()) return cc::freshPsk();
  try {
    return cc::readPskFile(path);
  } catch (const Error& error) {
    throw UsageError(fmt::format("--psk: {} (ccbench keygen makes one)", error.what()));
  }
}

}  // namespace lockstep::bench
