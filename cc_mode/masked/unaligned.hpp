// Elements of a caller's buffer, which may lie anywhere.
#pragma once

#include <cstddef>
#include <cstring>

namespace lockstep::cc {

template <class T>
T load(const std::byte* in, std::size_t index) {
  T value;
  std::memcpy(&value, in + index * sizeof(T), sizeof(T));
  return value;
}

template <class T>
void store(std::byte* out, std::size_t index, T value) {
  std::memcpy(out + index * sizeof(T), &value, sizeof(T));
}

}  // namespace lockstep::cc
