// What the environment says, and what of it is refused.
#include "communicator/settings.hpp"

#include <chrono>
#include <cstdlib>
#include <functional>
#include <string>

#include <gtest/gtest.h>

#include <lockstep/communicator.hpp>
#include <lockstep/error.hpp>

namespace lockstep {
namespace {

/// A variable of the environment, while this lives.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
  ~Variable() { ::unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
};

TEST(Settings, FlagsFillWhatTheCallerLeftAtItsDefault) {
  EXPECT_FALSE(withEnvironment({}).reproducible);
  EXPECT_TRUE(withEnvironment({}).crossMemoryAttach);
  {
    const Variable reproducible("LOCKSTEP_REPRODUCIBLE", "1"), attach("LOCKSTEP_CMA", "0");
    EXPECT_TRUE(withEnvironment({}).reproducible);
    EXPECT_FALSE(withEnvironment({}).crossMemoryAttach);
  }
  const Variable reproducible("LOCKSTEP_REPRODUCIBLE", "0"), attach("LOCKSTEP_CMA", "1");
  Options options;
  options.reproducible = true;
  options.crossMemoryAttach = false;
  EXPECT_TRUE(withEnvironment(options).reproducible) << "what the caller sets wins";
  EXPECT_FALSE(withEnvironment(options).crossMemoryAttach);
}

TEST(Settings, NumbersFillWhatTheCallerLeftAtItsDefault) {
  const Variable timeout("LOCKSTEP_TIMEOUT_MS", "250"), rekey("LOCKSTEP_REKEY_BYTES", "5000000000");
  EXPECT_EQ(withEnvironment({}).timeout, std::chrono::milliseconds(250));
  EXPECT_EQ(withEnvironment({}).rekeyBytes, 5'000'000'000U);
  Options options;
  options.timeout = std::chrono::milliseconds(7);
  options.rekeyBytes = 1 << 20;
  EXPECT_EQ(withEnvironment(options).timeout, std::chrono::milliseconds(7));
  EXPECT_EQ(withEnvironment(options).rekeyBytes, 1U << 20);
}

/// Each of these variables with each of these values.
void expectRefused(std::initializer_list<const char*> names,
                   std::initializer_list<const char*> values) {
  for (const char* name : names)
    for (const char* value : values) try {
        const Variable variable(name, value);
        withEnvironment({});
        ADD_FAILURE() << name << " took " << value;
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::invalidArgument);
        EXPECT_NE(std::string(error.what()).find(name), std::string::npos) << error.what();
      }
}

TEST(Settings, ANumberThatIsNoneIsNamed) {
  expectRefused({"LOCKSTEP_TIMEOUT_MS", "LOCKSTEP_REKEY_BYTES"},
                {"-1", "1e9", "5 ", "99999999999999999999"});
}

TEST(Settings, AFlagThatIsNeitherIsNamed) {
  expectRefused({"LOCKSTEP_REPRODUCIBLE", "LOCKSTEP_CMA"}, {"2", "yes", "00"});
}

// Nobody else has come, and nobody is waited for.
TEST(Settings, WhatIsWrongWithOptionsIsToldBeforeOthersAreWaitedFor) {
  const UniqueId id = UniqueId::create();
  const auto expectRefused = [&](const std::string& part,
                                 const std::function<void(Options&)>& set) {
    Options options;
    options.timeout = std::chrono::hours(1);
    options.mode = Mode::cc;
    options.psk.assign(32, std::byte{1});
    set(options);
    try {
      Communicator::create(id, 0, 2, options);
      ADD_FAILURE() << part;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalidArgument) << error.what();
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  };
  expectRefused("16 bytes", [](Options& o) { o.psk.resize(16); });
  expectRefused("'rign'", [](Options& o) { o.algorithm = "rign"; });
  expectRefused("'lll'", [](Options& o) { o.protocol = "lll"; });
  expectRefused("zero_copy", [](Options& o) { o.protocol = "zero_copy"; });
  expectRefused("/nowhere", [](Options& o) { o.tuningFile = "/nowhere"; });
}

}  // namespace
}  // namespace lockstep
