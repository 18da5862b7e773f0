// liblockstep_fake_cuda.so's symbols.
#include <string_view>

#include "cuda/fake_driver/api.hpp"
#include "cuda/fake_driver/contexts.hpp"
#include "cuda/fake_driver/refusal.hpp"

namespace lockstep::cuda::fake {
namespace {

/// These answer before cuInit, as the driver's do.
bool needsNoInit(std::string_view symbol) {
  return symbol == "cuInit" || symbol == "cuDriverGetVersion" || symbol == "cuGetErrorName" ||
         symbol == "cuGetErrorString";
}

struct Driver {
  template <class Work>
  static Result call(const char* symbol, Work work) noexcept {
    try {
      if (const int code = injectedFailure(symbol, currentDevice())) return Result{code};
      require(needsNoInit(symbol) || isInitialised(), Result::notInitialized);
      work();
      return Result::success;
    } catch (const Refused& refused) {
      return refused.result;
    } catch (const std::bad_alloc&) {
      return Result::outOfMemory;
    } catch (...) {
      return Result::unknown;
    }
  }
};

#define EXPORT(member, symbol, since, ...) LOCKSTEP_FAKE_EXPORT(Driver, member, symbol, __VA_ARGS__)

}  // namespace

LOCKSTEP_CUDA_REQUIRED(EXPORT)
LOCKSTEP_CUDA_OPTIONAL(EXPORT)

}  // namespace lockstep::cuda::fake
