// What the environment tells the fakes to be, and to fail at. Read at every call, so a test can
// change it in between.
#pragma once

#include <string>
#include <string_view>

namespace lockstep::cuda::fake {

/// A number from the environment.
long number(const char* variable, long otherwise);
bool isSet(const char* variable);
std::string text(const char* variable, std::string_view otherwise = {});

/// LOCKSTEP_FAKE_MISSING="symbol,symbol": the library acts as if it had none of these.
bool isMissing(std::string_view symbol);

/// LOCKSTEP_FAKE_FAIL="symbol[/device]=code[@nth],..": the code with which this call is to fail, or
/// 0. Calls are counted per entry (those on its device, if it names one) from when the variable's
/// text was last changed; without @nth every call fails.
int injectedFailure(std::string_view symbol, int device);

}  // namespace lockstep::cuda::fake
