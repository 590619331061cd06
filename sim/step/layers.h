// Several MoE layers, each with its own routing, one after another.
#pragma once

#include <cstdint>
#include <vector>

#include "results/result.h"

namespace moesim::step {

// The results of the layers as one: every layer starts when the one before it has ended everywhere, so times add up.
// Phases: times and bytes are sums over the layers; what binds is that of the layer where the phase took longest;
// imbalance and rates are the highest. The critical path is that of the slowest layer, with times from its own start.
// Links: the bytes of all layers over the time of all. Notes and provenance are those of the first layer.
results::Result join_layers(const std::vector<std::int32_t>& layers, const std::vector<results::Result>& results);

}  // namespace moesim::step
