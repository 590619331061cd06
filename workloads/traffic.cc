#include "workloads/traffic.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/error.h"

namespace moesim::workloads {
namespace {

struct Where {
  std::int32_t slot = 0;
  std::int32_t rank = 0;
};

// The loop over selections. `arrive(token, rank)` is called for each, tokens in order.
class Walk {
 public:
  Walk(const LayerRouting& routing, const Placement& placement, std::int32_t tokens_per_rank)
      : routing_(routing), placement_(placement), tokens_per_rank_(tokens_per_rank) {
    MOESIM_CHECK(routing.tokens() == std::int64_t{tokens_per_rank} * placement.ranks, "tokens_per_rank for every rank");
    MOESIM_CHECK(routing.tokens() < std::int64_t{1} << 31, "tokens are counted in 32 bits");
    MOESIM_CHECK(routing.experts.empty() ||
                     *std::max_element(routing.experts.begin(), routing.experts.end()) < placement.experts,
                 "an expert id beyond the placement's experts");
    const auto experts = static_cast<std::size_t>(placement.experts);
    std::int64_t period = 1;
    for (std::size_t e = 0; e < experts && period <= kLongestPeriod; ++e)
      period = std::lcm(period, std::int64_t{placement.first[e + 1] - placement.first[e]});
    period_ = period <= kLongestPeriod ? static_cast<std::int32_t>(period) : 0;
    for (std::int32_t token = 0; token < period_; ++token)
      for (std::size_t e = 0; e < experts; ++e) where_.push_back(find(token, e));
    load.slot_tokens.assign(static_cast<std::size_t>(placement.num_slots()), 0);
  }

  template <class Arrive>
  void source(std::int32_t rank, Arrive arrive) {
    const std::int32_t begin = rank * tokens_per_rank_;
    const std::uint16_t* id = routing_.experts.data() + std::int64_t{begin} * routing_.top_k;
    for (std::int32_t token = begin; token < begin + tokens_per_rank_; ++token) {
      const Where* table = period_ > 0 ? where_.data() + std::ptrdiff_t{token % period_} * placement_.experts : nullptr;
      for (const std::uint16_t* end = id + routing_.top_k; id != end; ++id) {
        const Where where = table != nullptr ? table[*id] : find(token, *id);
        ++load.slot_tokens[static_cast<std::size_t>(where.slot)];
        arrive(token, where.rank);
      }
    }
  }

  void sum_ranks() {
    load.rank_selections.assign(static_cast<std::size_t>(placement_.ranks), 0);
    load.rank_slots_hit.assign(static_cast<std::size_t>(placement_.ranks), 0);
    for (std::size_t slot = 0; slot < load.slot_tokens.size(); ++slot) {
      const auto rank = static_cast<std::size_t>(placement_.slot_rank[slot]);
      load.rank_selections[rank] += load.slot_tokens[slot];
      load.rank_slots_hit[rank] += load.slot_tokens[slot] > 0 ? 1 : 0;
    }
  }

  SlotLoad load;

 private:
  // Where a token finds an expert. Tokens whose numbers differ by a multiple of all replica counts agree: unless that
  // period is long, a table of [period][experts] spares the division.
  Where find(std::int32_t token, std::size_t expert) const {
    const std::int32_t first = placement_.first[expert], count = placement_.first[expert + 1] - first;
    const std::int32_t replica = first + token % count;
    const std::int32_t slot = placement_.slots[static_cast<std::size_t>(replica)];
    return {slot, placement_.slot_rank[static_cast<std::size_t>(slot)]};
  }
  static constexpr std::int64_t kLongestPeriod = 16;

  const LayerRouting& routing_;
  const Placement& placement_;
  const std::int32_t tokens_per_rank_;
  std::int32_t period_ = 0;   // 0: no table
  std::vector<Where> where_;  // [period][experts]
};

}  // namespace

Traffic layer_traffic(const LayerRouting& routing, const Placement& placement, std::int32_t tokens_per_rank) {
  const auto ranks = static_cast<std::size_t>(placement.ranks);
  Walk walk(routing, placement, tokens_per_rank);
  Traffic traffic;
  traffic.ranks = placement.ranks;
  traffic.tokens.assign(ranks * ranks, 0);
  std::vector<std::int32_t> last_token(ranks, -1);  // the last token that went there: a token is counted once per rank
  for (std::int32_t source = 0; source < placement.ranks; ++source) {
    std::int32_t* row = traffic.tokens.data() + static_cast<std::size_t>(source) * ranks;
    walk.source(source, [row, last = last_token.data()](std::int32_t token, std::int32_t rank) {
      row[rank] += last[rank] != token ? 1 : 0;
      last[rank] = token;
    });
  }
  walk.sum_ranks();
  static_cast<SlotLoad&>(traffic) = std::move(walk.load);
  return traffic;
}

SlotLoad for_each_traffic_row(const LayerRouting& routing, const Placement& placement, std::int32_t tokens_per_rank,
                              const std::function<void(std::int32_t, std::span<const TrafficCell>)>& row) {
  const auto ranks = static_cast<std::size_t>(placement.ranks);
  Walk walk(routing, placement, tokens_per_rank);
  std::vector<std::int32_t> last_token(ranks, -1), count(ranks, 0);
  std::vector<TrafficCell> cells;
  for (std::int32_t source = 0; source < placement.ranks; ++source) {
    cells.clear();
    walk.source(source, [&](std::int32_t token, std::int32_t rank) {
      const auto r = static_cast<std::size_t>(rank);
      if (last_token[r] == token) return;
      last_token[r] = token;
      if (count[r]++ == 0) cells.push_back({rank, 0});
    });
    std::sort(cells.begin(), cells.end(), [](const auto& a, const auto& b) { return a.receiver < b.receiver; });
    for (TrafficCell& cell : cells) cell.tokens = std::exchange(count[static_cast<std::size_t>(cell.receiver)], 0);
    row(source, cells);
  }
  walk.sum_ranks();
  return std::move(walk.load);
}

std::vector<std::int32_t> slot_tokens(const LayerRouting& routing, const Placement& placement) {
  std::vector<std::int32_t> count(static_cast<std::size_t>(placement.num_slots()), 0);
  std::int64_t token = 0;
  for (std::size_t i = 0; i < routing.experts.size(); ++token) {
    for (std::int32_t k = 0; k < routing.top_k; ++k, ++i) {
      const std::size_t expert = routing.experts[i];
      MOESIM_CHECK(expert < static_cast<std::size_t>(placement.experts), "an expert id beyond the placement's experts");
      const std::int32_t first = placement.first[expert], replicas = placement.first[expert + 1] - first;
      const std::int64_t replica = first + token % replicas;
      ++count[static_cast<std::size_t>(placement.slots[static_cast<std::size_t>(replica)])];
    }
  }
  return count;
}

std::vector<std::int32_t> selection_matrix(const LayerRouting& routing, const Placement& placement,
                                           std::int32_t tokens_per_rank) {
  const auto ranks = static_cast<std::size_t>(placement.ranks);
  Walk walk(routing, placement, tokens_per_rank);
  std::vector<std::int32_t> matrix(ranks * ranks, 0);
  for (std::int32_t source = 0; source < placement.ranks; ++source) {
    std::int32_t* row = matrix.data() + static_cast<std::size_t>(source) * ranks;
    walk.source(source, [row](std::int32_t /*token*/, std::int32_t rank) { ++row[rank]; });
  }
  return matrix;
}

std::vector<std::int32_t> group_matrix(const LayerRouting& routing, const Placement& placement,
                                       std::int32_t tokens_per_rank, std::int32_t ranks_per_group) {
  MOESIM_CHECK(ranks_per_group > 0 && placement.ranks % ranks_per_group == 0, "whole groups of ranks");
  const auto groups = static_cast<std::size_t>(placement.ranks / ranks_per_group);
  Walk walk(routing, placement, tokens_per_rank);
  std::vector<std::int32_t> matrix(static_cast<std::size_t>(placement.ranks) * groups, 0), last_token(groups, -1);
  for (std::int32_t source = 0; source < placement.ranks; ++source) {
    std::int32_t* row = matrix.data() + static_cast<std::size_t>(source) * groups;
    walk.source(source, [&](std::int32_t token, std::int32_t rank) {
      const std::int32_t group = rank / ranks_per_group;
      std::int32_t& last = last_token[static_cast<std::size_t>(group)];
      row[group] += last != token ? 1 : 0;
      last = token;
    });
  }
  return matrix;
}

}  // namespace moesim::workloads
