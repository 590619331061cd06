// The engine "bound": a lower bound of every event in closed form, without solving for rates. Always printed beside a
// result, chosen as the engine only on request.
//
// For any set of flows on one resource of capacity C that start no earlier than t, the last is drained no earlier than
// t + (sum of amount * consumption) / C. Taken over the flows of a source this bounds sent[source], over those towards
// a receiver done[receiver], over all of an exchange its end. Competition with other exchanges and computes, and SM
// holds, are ignored; a capacity that changes counts at its largest. All of this can only make the bound lower.
#pragma once

#include <memory>

#include "sim/engine/engine.h"

namespace moesim::engine {

std::unique_ptr<Engine> make_bound_engine(const EngineOptions& options);

}  // namespace moesim::engine
