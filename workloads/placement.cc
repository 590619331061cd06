#include "workloads/placement.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/random.h"

namespace moesim::workloads {
namespace {

std::vector<std::int32_t> experts_in_turn(std::int32_t experts, std::int32_t slots) {
  std::vector<std::int32_t> slot_expert(static_cast<std::size_t>(slots));
  for (std::int32_t slot = 0; slot < slots; ++slot) slot_expert[static_cast<std::size_t>(slot)] = slot % experts;
  return slot_expert;
}

}  // namespace

Placement place(std::vector<std::int32_t> slot_expert, std::int32_t experts, std::int32_t ranks) {
  Placement placement;
  placement.ranks = ranks;
  placement.experts = experts;
  placement.slot_expert = std::move(slot_expert);
  const std::int32_t slots = placement.num_slots();
  MOESIM_CHECK(experts > 0 && ranks > 0 && slots >= ranks, "a slot for every rank");
  placement.first.assign(static_cast<std::size_t>(experts) + 1, 0);
  for (std::int32_t rank = 0; rank < ranks; ++rank) {
    const std::int32_t own = slots / ranks + (rank < slots % ranks ? 1 : 0);
    placement.slot_rank.insert(placement.slot_rank.end(), static_cast<std::size_t>(own), rank);
  }
  for (const std::int32_t expert : placement.slot_expert) {
    MOESIM_CHECK(expert >= 0 && expert < experts, "an expert of the model in every slot");
    ++placement.first[static_cast<std::size_t>(expert) + 1];
  }
  MOESIM_CHECK(std::count(placement.first.begin() + 1, placement.first.end(), 0) == 0, "a slot for every expert");
  std::partial_sum(placement.first.begin(), placement.first.end(), placement.first.begin());
  placement.slots.resize(placement.slot_expert.size());
  std::vector<std::int32_t> next(placement.first.begin(), placement.first.end() - 1);
  for (std::int32_t slot = 0; slot < slots; ++slot) {
    const auto expert = static_cast<std::size_t>(placement.slot_expert[static_cast<std::size_t>(slot)]);
    placement.slots[static_cast<std::size_t>(next[expert]++)] = slot;
  }
  return placement;
}

Placement contiguous_placement(std::int32_t experts, std::int32_t ranks, std::int32_t slots) {
  return place(experts_in_turn(experts, slots), experts, ranks);
}

Placement random_placement(std::int32_t experts, std::int32_t ranks, std::int32_t slots, std::uint64_t seed) {
  std::vector<std::int32_t> slot_expert = experts_in_turn(experts, slots);
  base::RandomStream stream(seed, "placement");
  for (std::size_t left = slot_expert.size(); left > 1; --left)
    std::swap(slot_expert[left - 1], slot_expert[stream.below(left)]);
  return place(std::move(slot_expert), experts, ranks);
}

Placement default_placement(std::int32_t experts, std::int32_t ranks) {
  MOESIM_CHECK(experts > 0 && ranks > 0, "a placement needs experts and ranks");
  return contiguous_placement(experts, ranks, (experts + ranks - 1) / ranks * ranks);
}

}  // namespace moesim::workloads
