// The border of the fakes: C symbols of the very names and types of the library's symbol lists.
//
// Each symbol is an indirect function (STT_GNU_IFUNC): dlsym() asks its resolver for the address.
// So a symbol can be missing at run time as from an older driver: its resolver says null.
#pragma once

#include <algorithm>
#include <cstddef>
#include <new>
#include <type_traits>

#include "cuda/fake_driver/environment.hpp"

namespace lockstep::cuda::fake {

/// The name of a symbol, as an argument of a template.
template <std::size_t bytes>
struct Name {
  char text[bytes] = {};
  constexpr Name(const char (&name)[bytes]) { std::copy_n(name, bytes, text); }
};

/// The type of the function that implements a symbol: it returns nothing, and throws refusals. What
/// returns words cannot fail.
template <class Type>
struct BodyOf;
template <class Result, class... Args>
struct BodyOf<Result(Args...)> {
  using Type = void(Args...);
};
template <class... Args>
struct BodyOf<const char*(Args...)> {
  using Type = const char*(Args...);
};

/// What a symbol stands for. `Border::call(symbol, work)` makes a result of what `work` does.
template <class Border, Name symbol, class Type, auto body>
struct Entry;
template <class Border, Name symbol, class Result, class... Args, auto body>
struct Entry<Border, symbol, Result(Args...), body> {
  static Result call(Args... args) {
    return Border::call(symbol.text, [&] { body(args...); });
  }
};

template <class Border, Name symbol, class... Args, auto body>
struct Entry<Border, symbol, const char*(Args...), body> {
  static const char* call(Args... args) { return body(args...); }
};

}  // namespace lockstep::cuda::fake

#define LOCKSTEP_FAKE_DECLARE(member, symbol, since, ...) \
  typename ::lockstep::cuda::fake::BodyOf<__VA_ARGS__>::Type member;

/// Exports `symbol`, implemented by the function `member` of this namespace.
#define LOCKSTEP_FAKE_EXPORT(border, member, symbol, ...)                                        \
  extern "C" {                                                                                   \
  std::type_identity_t<__VA_ARGS__>* resolve_##symbol() {                                        \
    return isMissing(#symbol) ? nullptr : &Entry<border, #symbol, __VA_ARGS__, &(member)>::call; \
  }                                                                                              \
  __attribute__((visibility("default"), ifunc("resolve_" #symbol)))                              \
  std::type_identity_t<__VA_ARGS__>                                                              \
      symbol;                                                                                    \
  }
