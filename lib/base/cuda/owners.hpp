// Owners of what the CUDA driver gives. Each is move-only or shared, made by a named factory that
// throws, and given back by a destructor that does not; children hold their parents.
#pragma once

#include "base/cuda/context.hpp"
#include "base/cuda/memory.hpp"
#include "base/cuda/module.hpp"
#include "base/cuda/multicast.hpp"
#include "base/cuda/stream.hpp"
#include "base/cuda/virtual_memory.hpp"
