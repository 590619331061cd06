// Our own engine: max-min fair fluid flows, fast. Executes every TaskGraph.
//
// fluid_engine.cc runs the graph's events; FluidNetwork (fluid_network.h) moves the flows; MaxMin (maxmin.h) shares the
// links. With EngineOptions.tolerance = e > 0, completions within e times the time since the last arrival are handled
// as one, at the rate-weighted mean of their times: bytes stay conserved and the mean error stays far below e; e is a
// knob, not a bound (single flows were seen off by 4 e).
#pragma once

#include <memory>

#include "sim/engine/engine.h"

namespace moesim::engine {

std::unique_ptr<Engine> make_fluid_engine(const EngineOptions& options);

}  // namespace moesim::engine
