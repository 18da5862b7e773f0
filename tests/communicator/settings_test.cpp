// What the environment says, and what of it is refused.
#include "communicator/settings.hpp"

#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

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

TEST(Settings, ANumberThatIsNoneIsNamed) {
  for (const char* name : {"LOCKSTEP_TIMEOUT_MS", "LOCKSTEP_REKEY_BYTES"})
    for (const char* value : {"-1", "1e9", "5 ", "99999999999999999999"}) try {
        const Variable variable(name, value);
        withEnvironment({});
        ADD_FAILURE() << name << " took " << value;
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::invalidArgument);
        EXPECT_NE(std::string(error.what()).find(name), std::string::npos) << error.what();
      }
}

TEST(Settings, AFlagThatIsNeitherIsNamed) {
  for (const char* name : {"LOCKSTEP_REPRODUCIBLE", "LOCKSTEP_CMA"})
    for (const char* value : {"2", "yes", "00"}) try {
        const Variable variable(name, value);
        withEnvironment({});
        ADD_FAILURE() << name << " took " << value;
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::invalidArgument);
        EXPECT_NE(std::string(error.what()).find(name), std::string::npos) << error.what();
      }
}

}  // namespace
}  // namespace lockstep
