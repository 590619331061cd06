#include "sim/lowering/expert_loads.h"

#include <cmath>
#include <map>

#include "base/error.h"
#include "sim/lowering/expert_compute.h"

namespace moesim::lowering {
namespace {

constexpr double kMatrices = 3;  // gate, up, down

}  // namespace

std::vector<ExpertLoad> merge_loads(std::span<const ExpertLoad> loads, double tile) {
  std::map<double, ExpertLoad> by_tiles;  // tokens: of all experts together, divided below
  for (const ExpertLoad& load : loads) {
    if (load.tokens <= 0 || load.experts <= 0) continue;
    ExpertLoad& merged = by_tiles[std::ceil(load.tokens / tile)];
    merged.tokens += load.tokens * load.experts;
    merged.experts += load.experts;
  }
  std::vector<ExpertLoad> result;
  result.reserve(by_tiles.size());
  for (const auto& [tiles, merged] : by_tiles) result.push_back({merged.tokens / merged.experts, merged.experts});
  return result;
}

ExpertsTime experts_time(const ExpertMatrices& matrices, std::span<const ExpertLoad> loads, double tile,
                         const ExpertRates& rates, const profile::Profile& profile) {
  MOESIM_CHECK(tile > 0, "a tile without rows");
  const double elements = kMatrices * matrices.hidden * matrices.inter;
  const double weights = elements * matrices.weight_bytes / (rates.memory_share * profile.hbm_bandwidth.value.value());
  const double one_tile = 2 * elements * tile / (rates.tensor_share * tensor_rate(profile, matrices.multiply).value());
  ExpertsTime time;
  for (const ExpertLoad& load : loads) {
    if (load.tokens <= 0) continue;
    const double tiles = std::ceil(load.tokens / tile);
    const double memory = weights * (1 + rates.reread * (tiles - 1)), tensor = one_tile * tiles;
    time.memory += load.experts * memory;
    time.tensor += load.experts * tensor;
    time.total += load.experts * smooth_max(memory, tensor, rates.overlap);
    time.selections += load.experts * load.tokens;
  }
  return time;
}

double sm_copy_time(double bytes, const profile::Profile& profile) { return bytes / (kBytesPerSm * profile.sms.value); }

}  // namespace moesim::lowering
