// Any bytes as a file of the kernel cache: nothing, or a kernel that is written as the same bytes.
#pragma once

#include <cstdlib>
#include <string>
#include <string_view>

#include "executor/cuda/cache_file.hpp"

namespace lockstep::fuzz {

inline void cacheFile(std::string_view bytes) {
  // Its key is what it says; with the digest made right, the fields are reached.
  cc::Digest key{};
  const std::string_view said = bytes.substr(0, key.size());
  for (std::size_t i = 0; i < said.size(); ++i) key[i] = static_cast<std::byte>(said[i]);
  for (const std::string& file : {std::string(bytes), cuda::withDigest(bytes)})
    if (const auto cubin = cuda::decodeCubin(key, file); cubin)
      if (cuda::encodeCubin(key, *cubin) != file) std::abort();
}

}  // namespace lockstep::fuzz
