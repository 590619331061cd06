// The oracle: executes a TaskGraph on SimGrid's max-min network model. Slow and trustworthy.
#pragma once

#include <memory>

#include "sim/engine/engine.h"

namespace moesim::engine {

std::unique_ptr<Engine> make_simgrid_engine(const EngineOptions& options);

}  // namespace moesim::engine
