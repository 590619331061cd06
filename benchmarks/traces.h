// Reading routing traces.
#pragma once

#include "benchmarks/goals.h"

namespace moesim::benchmarks {

// A trace of 1 GB in the folder of temporary files -> its statistics: MB of file per second of processor time, and the
// memory that it takes.
void trace_statistics(Report& report);

}  // namespace moesim::benchmarks
