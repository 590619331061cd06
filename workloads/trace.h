// Which experts every token chose, layer by layer: imported from recordings or generated.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace moesim::workloads {

// Experts of consecutive tokens in one layer: experts[token * top_k + i], distinct within a token.
struct LayerRouting {
  std::span<const std::uint16_t> experts;
  std::int32_t top_k = 0;
  std::int64_t tokens() const { return static_cast<std::int64_t>(experts.size()) / top_k; }
  // Tokens [first, first + count).
  LayerRouting slice(std::int64_t first, std::int64_t count) const {
    return {experts.subspan(static_cast<std::size_t>(first * top_k), static_cast<std::size_t>(count * top_k)), top_k};
  }
};

struct Trace {
  std::int64_t tokens = 0;
  std::int32_t layers = 0;   // MoE layers only
  std::int32_t top_k = 0;
  std::int32_t experts = 0;  // 0 where the source does not say; ids are below it otherwise
  std::string source;        // file or generator, for results
  std::vector<std::uint16_t> ids;  // [layers][tokens][top_k]

  LayerRouting layer(std::int32_t moe_layer) const {
    const auto size = static_cast<std::size_t>(tokens * top_k);
    return {std::span(ids).subspan(static_cast<std::size_t>(moe_layer) * size, size), top_k};
  }
};

}  // namespace moesim::workloads
