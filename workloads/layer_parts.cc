#include "workloads/layer_parts.h"

#include <algorithm>
#include <numeric>

namespace moesim::workloads {
namespace {

// Deals `places` in order: counts[k] of them to kind k, what is left to none (-1). The kind that is most behind its
// share is next, so that none is ever more than one behind or ahead.
std::vector<std::int32_t> spread(std::size_t places, std::vector<std::int64_t> counts) {
  const auto wanted = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  counts.push_back(std::max<std::int64_t>(0, static_cast<std::int64_t>(places) - wanted));
  const std::int64_t all = std::max(wanted, static_cast<std::int64_t>(places));
  std::vector<std::int64_t> used(counts.size());
  std::vector<std::int32_t> dealt;
  for (std::int64_t place = 1; place <= static_cast<std::int64_t>(places); ++place) {
    std::size_t next = 0;
    std::int64_t most = INT64_MIN;
    for (std::size_t k = 0; k < counts.size(); ++k) {
      const std::int64_t behind = counts[k] * place - used[k] * all;
      if (used[k] == counts[k] || behind <= most) continue;
      most = behind;
      next = k;
    }
    ++used[next];
    dealt.push_back(next + 1 == counts.size() ? -1 : static_cast<std::int32_t>(next));
  }
  return dealt;
}

}  // namespace

std::vector<LayerParts> layer_parts(const Model& model) {
  std::vector<LayerParts> parts(static_cast<std::size_t>(model.layers));
  std::vector<LayerParts*> rest;  // without experts, later without dense FFN
  for (std::int32_t layer = 0; layer < model.layers; ++layer) {
    LayerParts& own = parts[static_cast<std::size_t>(layer)];
    own.moe = model.moe_index(layer);
    if (own.moe < 0) rest.push_back(&own);
  }
  std::vector<std::int64_t> kinds;
  for (const Attention& attention : model.attention) kinds.push_back(attention.layers);
  const auto with_attention = std::accumulate(kinds.begin(), kinds.end(), std::int64_t{0});
  const auto remaining = static_cast<std::int64_t>(rest.size());
  const std::int64_t dense = std::min<std::int64_t>(model.dense_ffn_layers, remaining);
  const std::vector<std::int32_t> networks = spread(rest.size(), {dense});
  for (std::size_t i = 0; i < rest.size(); ++i) rest[i]->dense_ffn = networks[i] == 0;

  std::erase_if(rest, [](const LayerParts* own) { return own->dense_ffn; });
  const bool one_part = with_attention < model.layers && with_attention <= static_cast<std::int64_t>(rest.size());
  if (!one_part) {
    rest.clear();
    for (LayerParts& own : parts) rest.push_back(&own);
  }
  const std::vector<std::int32_t> attention = spread(rest.size(), kinds);
  for (std::size_t i = 0; i < rest.size(); ++i) rest[i]->attention = attention[i];
  return parts;
}

}  // namespace moesim::workloads
