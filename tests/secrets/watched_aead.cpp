// The linker sends every call of createAead in this program to `wrapped`, and `real` to createAead
// (--wrap, in tests/CMakeLists.txt). So the library needs no way to have its cipher replaced.
#include "secrets/watched_aead.hpp"

#include <utility>

#define CREATE_AEAD "_ZN8lockstep2cc10createAeadESt17basic_string_viewIcSt11char_traitsIcEE"

namespace lockstep::testing {
namespace {

Watch& watch() {
  static Watch current;
  return current;
}

}  // namespace

std::shared_ptr<const cc::Aead> real(std::string_view name) asm("__real_" CREATE_AEAD);
std::shared_ptr<const cc::Aead> wrapped(std::string_view name) asm("__wrap_" CREATE_AEAD);

std::shared_ptr<const cc::Aead> wrapped(std::string_view name) {
  auto aead = real(name);
  return watch() ? watch()(std::move(aead)) : aead;
}

WatchedAead::WatchedAead(Watch newWatch) {
  watch() = std::move(newWatch);
}
WatchedAead::~WatchedAead() {
  watch() = {};
}

}  // namespace lockstep::testing
