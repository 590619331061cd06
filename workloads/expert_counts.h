// How often each expert was chosen, layer by layer, without the tokens that chose it: what SGLang's recorder calls
// logical_count and DeepSeek's EPLB weight.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace moesim::workloads {

struct ExpertCounts {
  std::int32_t layers = 0;  // with experts
  std::int32_t experts = 0;
  std::vector<double> counts;  // [layers][experts] >= 0
  // Layers of the source without a count above zero: they have no experts and were left out.
  std::vector<std::int32_t> layers_dropped;
  std::string source;  // file with a hash, for results

  std::span<const double> layer(std::int32_t moe_layer) const {
    const auto size = static_cast<std::size_t>(experts);
    return std::span(counts).subspan(static_cast<std::size_t>(moe_layer) * size, size);
  }
};

// .npy, or .npz with one array or one named logical_count or weight: integers or 4 or 8 byte floating point, shape
// [layers, experts], or [steps, layers, experts], which is summed over the steps. .json: {"logical_count": the same as
// lists}, or "weight". Throws InputError for other shapes, negative and infinite counts, and files without any above 0.
ExpertCounts read_expert_counts(const std::string& path);

// Of a .npy or .npz, its number of dimensions: 3 is a trace, 2 are counts. Throws InputError for a damaged header.
std::size_t npy_dimensions(const std::string& path);

}  // namespace moesim::workloads
