// The kernels of each fold, for this CPU. Inside of reduce.
#pragma once

#include "executor/host/reduce.hpp"

namespace lockstep::host {

ReduceFunction sumFunction(DataType type);
ReduceFunction productFunction(DataType type);
ReduceFunction minimumFunction(DataType type);
ReduceFunction maximumFunction(DataType type);

}  // namespace lockstep::host
