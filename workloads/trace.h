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
  std::int32_t layers = 0;  // MoE layers only
  std::int32_t top_k = 0;
  std::int32_t experts = 0;          // 0 where the source does not say; ids are below it otherwise
  std::int64_t padding_dropped = 0;  // tokens that were padding (-1 throughout) and were left out
  // Layers of the source that have no experts and were left out, and how many the source had.
  std::vector<std::int32_t> layers_dropped;
  std::string source;  // file or generator with a hash or seed, for results
  // Forward passes, joined along tokens: pass p holds tokens [passes[p], passes[p + 1]).
  std::vector<std::int64_t> passes;  // [passes + 1]; {0, tokens} where the source has but one
  std::vector<std::uint16_t> ids;    // [layers][tokens][top_k]

  LayerRouting layer(std::int32_t moe_layer) const {
    const auto size = static_cast<std::size_t>(tokens * top_k);
    return {std::span(ids).subspan(static_cast<std::size_t>(moe_layer) * size, size), top_k};
  }
  std::size_t num_passes() const { return passes.empty() ? 0 : passes.size() - 1; }
};

// The pass with the most tokens (the first of several).
std::size_t largest_pass(const Trace& trace);
// A trace of the tokens of one pass.
Trace one_pass(const Trace& trace, std::size_t pass);

// Stands for an id of -1 in `ids` until finish_trace has dropped it, so ids end at 65534.
inline constexpr std::uint16_t kPaddingId = 0xffff;
inline constexpr std::int64_t kMaxExpertId = 0xfffe;

// Whether a row of ids says that the layer has no experts: all of it padding, or zero throughout, which no choice of
// several distinct experts is. vLLM and SGLang have arrays with a row for every layer of the model, zero (or -1) where
// the layer is dense.
bool row_without_experts(std::span<const std::uint16_t> row);

// For readers: leaves out layers without experts (those whose rows say so in every token, unless all layers' do) and
// tokens that are padding in every layer (counted in padding_dropped), and sets `passes` to one pass where it is empty.
// Throws InputError naming token and layer for a token that is padding only in part or chose an expert twice, and for a
// trace without tokens. `file` names the source in errors.
void finish_trace(Trace& trace, const std::string& file);

}  // namespace moesim::workloads
