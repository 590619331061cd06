#include "workloads/balanced.h"

#include <algorithm>
#include <list>
#include <numeric>
#include <span>

#include "base/error.h"
#include "workloads/placement.h"

namespace moesim::workloads {
namespace {

// Every source walks through the slots of the ranks at distance 1, 2, ... B from it (B = ranks - 1) and again, round
// after round, taking another local slot in each of m rounds; after m * B selections it has used all of them once.
// Its last, incomplete walk has q selections: a = q / B rounds and b = q mod B ranks more. The ranks at distance o are
// thus visited a or a + 1 times, and starting their local slots at offset a * (o - 1) + min(o - 1, b) lays these visits
// end to end on the circle of m slots: each slot of a receiver gets floor(q / m) or ceil(q / m) of them.
std::vector<std::uint16_t> closed_form(const BalancedShape& shape) {
  const std::int64_t m = shape.experts / shape.ranks, k = shape.top_k;
  const bool own_rank_too = k > m * (shape.ranks - 1);
  const std::int64_t B = own_rank_too ? shape.ranks : shape.ranks - 1;
  const std::int64_t selections = shape.tokens_per_rank * k;
  const std::int64_t q = selections % (m * B), a = q / B, b = q % B;
  std::vector<std::uint16_t> ids;
  ids.reserve(static_cast<std::size_t>(selections * shape.ranks));
  for (std::int64_t source = 0; source < shape.ranks; ++source) {
    std::int64_t step = 0, round = 0;  // of this source: position `step` of `round`
    for (std::int64_t j = 0; j < selections; ++j) {
      const std::int64_t rank = (source + step + (own_rank_too ? 0 : 1)) % shape.ranks;
      const std::int64_t local = (round + a * step + std::min(step, b)) % m;
      ids.push_back(static_cast<std::uint16_t>(rank * m + local));
      if (++step == B) {
        step = 0;
        ++round;
      }
    }
  }
  return ids;
}

// Slots wait in a queue; a token takes the first that it may use, and these go to the end. What a token may not use
// (its own rank's slots, replicas for other tokens) stays in front for the next that may. Sources come one after the
// other, so that each passes all slots equally often, and each slot is missed by its own rank's tokens alone.
class SlotQueue {
 public:
  explicit SlotQueue(const Placement& placement)
      : placement_(placement),
        rank_token_(static_cast<std::size_t>(placement.ranks), -1),
        expert_token_(static_cast<std::size_t>(placement.experts), -1) {
    replica_.resize(static_cast<std::size_t>(placement.num_slots()));
    for (std::size_t e = 0; e + 1 < placement.first.size(); ++e)
      for (std::int32_t i = placement.first[e]; i < placement.first[e + 1]; ++i)
        replica_[static_cast<std::size_t>(placement.slots[static_cast<std::size_t>(i)])] = {
            i - placement.first[e], placement.first[e + 1] - placement.first[e]};
    // Round by round over the ranks, so that neighbours in the queue are on different ranks.
    const std::int32_t each = placement.num_slots() / placement.ranks;
    for (std::int32_t local = 0; local < each; ++local)
      for (std::int32_t rank = 0; rank < placement.ranks; ++rank) queue_.push_back(rank * each + local);
  }

  void choose(std::int64_t token, std::int32_t source, std::int32_t top_k, std::vector<std::uint16_t>& ids) {
    std::int32_t left = top_k;
    std::list<std::int32_t> taken;
    // First one slot per other rank, then further slots of these, then the own rank's.
    for (const bool new_rank : {true, false})
      for (const bool other_rank : {true, false}) {
        if (new_rank && !other_rank) continue;
        for (auto it = queue_.begin(); left > 0 && it != queue_.end();) {
          const auto here = it++;
          const auto slot = static_cast<std::size_t>(*here);
          const auto rank = static_cast<std::size_t>(placement_.slot_rank[slot]);
          const auto expert = static_cast<std::size_t>(placement_.slot_expert[slot]);
          if (token % replica_[slot].count != replica_[slot].index || expert_token_[expert] == token) continue;
          if (other_rank && placement_.slot_rank[slot] == source) continue;
          if (new_rank && rank_token_[rank] == token) continue;
          rank_token_[rank] = expert_token_[expert] = token;
          ids.push_back(static_cast<std::uint16_t>(expert));
          taken.splice(taken.end(), queue_, here);
          --left;
        }
      }
    queue_.splice(queue_.end(), taken);
  }

 private:
  struct Replica {
    std::int32_t index = 0, count = 1;
  };
  const Placement& placement_;
  std::vector<Replica> replica_;                         // [slots]
  std::vector<std::int64_t> rank_token_, expert_token_;  // the last token that used them
  std::list<std::int32_t> queue_;
};

// Evens out what the queue leaves (a percent or two) by moving single selections between slots that the token may use
// alike. A move must lower 4 * sum(slot load^2) + sum(tokens between two ranks^2), so the moves come to an end.
class Evening {
 public:
  Evening(const BalancedShape& shape, const Placement& placement, std::vector<std::uint16_t>& ids)
      : shape_(shape), placement_(placement), ids_(ids), k_(static_cast<std::size_t>(shape.top_k)) {
    load_.assign(placement.slot_expert.size(), 0);
    pair_.assign(static_cast<std::size_t>(shape.ranks) * static_cast<std::size_t>(shape.ranks), 0);
    for (std::size_t i = 0; i < ids.size(); ++i) count(slot_of(ids[i], i / k_), i / k_, 1);
  }

  void run() {
    std::size_t stride = ids_.size() * 5 / 8 + 1;  // far apart one after the other, so that all sources share the moves
    while (std::gcd(stride, ids_.size()) != 1) ++stride;
    const auto average = static_cast<std::int32_t>(ids_.size() / load_.size());
    for (bool moved = true; moved;) {
      const auto [least, most] = std::minmax_element(load_.begin(), load_.end());
      if (*most - *least <= 1) return;
      moved = false;
      // Only moves to a lesser load are tried: from above the average to all others, from the average to those below.
      std::vector<std::size_t> below, others;
      for (std::size_t slot = 0; slot < load_.size(); ++slot) {
        if (load_[slot] < average) below.push_back(slot);
        if (load_[slot] == average) others.push_back(slot);
      }
      others.insert(others.begin(), below.begin(), below.end());
      for (std::size_t j = 0; j < ids_.size(); ++j) {
        const std::size_t i = j * stride % ids_.size();
        const std::int32_t load = load_[slot_of(ids_[i], i / k_)];
        if (load >= average) moved |= move(i, load > average ? others : below);
      }
    }
  }

 private:
  std::size_t slot_of(std::size_t expert, std::size_t token) const {
    const auto first = static_cast<std::size_t>(placement_.first[expert]);
    return static_cast<std::size_t>(
        placement_.slots[first + token % (static_cast<std::size_t>(placement_.first[expert + 1]) - first)]);
  }
  std::int32_t rank_of(std::size_t slot) const { return placement_.slot_rank[slot]; }
  std::int32_t source_of(std::size_t token) const {
    return static_cast<std::int32_t>(token / static_cast<std::size_t>(shape_.tokens_per_rank));
  }
  std::int32_t& pair(std::size_t token, std::size_t slot) {
    return pair_[static_cast<std::size_t>(source_of(token)) * static_cast<std::size_t>(shape_.ranks) +
                 static_cast<std::size_t>(rank_of(slot))];
  }
  void count(std::size_t slot, std::size_t token, std::int32_t change) {
    load_[slot] += change;
    pair(token, slot) += change;
  }

  bool move(std::size_t i, const std::vector<std::size_t>& wanting) {
    const std::size_t token = i / k_, from = slot_of(ids_[i], token);
    const auto chosen = std::span(ids_).subspan(token * k_, k_);
    const auto may_take = [&](std::size_t to) {
      const auto expert = static_cast<std::size_t>(placement_.slot_expert[to]);
      if (4 * (load_[from] - load_[to] - 1) + pair(token, from) - pair(token, to) - 1 <= 0) return false;
      return slot_of(expert, token) == to && rank_of(to) != source_of(token) &&
             std::none_of(chosen.begin(), chosen.end(),
                          [&](auto e) { return e == expert || rank_of(slot_of(e, token)) == rank_of(to); });
    };
    const auto to = std::find_if(wanting.begin(), wanting.end(), may_take);
    if (to == wanting.end()) return false;
    count(from, token, -1);
    count(*to, token, 1);
    ids_[i] = static_cast<std::uint16_t>(placement_.slot_expert[*to]);
    return true;
  }

  const BalancedShape& shape_;
  const Placement& placement_;
  std::vector<std::uint16_t>& ids_;
  const std::size_t k_;
  std::vector<std::int32_t> load_;  // [slots]
  std::vector<std::int32_t> pair_;  // [ranks][ranks] selections of the source's tokens computed at the receiver
};

std::vector<std::uint16_t> queued(const BalancedShape& shape) {
  const Placement placement = default_placement(shape.experts, shape.ranks);
  SlotQueue queue(placement);
  std::vector<std::uint16_t> ids;
  ids.reserve(static_cast<std::size_t>(shape.tokens_per_rank * shape.ranks * shape.top_k));
  for (std::int32_t source = 0; source < shape.ranks; ++source)
    for (std::int64_t t = 0; t < shape.tokens_per_rank; ++t)
      queue.choose(source * shape.tokens_per_rank + t, source, shape.top_k, ids);
  Evening(shape, placement, ids).run();
  return ids;
}

}  // namespace

std::vector<std::uint16_t> balanced_routing(const BalancedShape& shape) {
  MOESIM_CHECK(shape.experts > 0 && shape.ranks > 0 && shape.tokens_per_rank >= 0, "a shape of routing");
  MOESIM_CHECK(shape.top_k > 0 && shape.top_k <= shape.experts, "top_k distinct experts");
  return shape.experts % shape.ranks == 0 ? closed_form(shape) : queued(shape);
}

}  // namespace moesim::workloads
