#include "workloads/placement.h"

#include <numeric>

#include "base/error.h"

namespace moesim::workloads {
namespace {

// Slot s holds expert s mod experts; the first (slots mod ranks) ranks have one slot more than the others.
Placement contiguous(std::int32_t experts, std::int32_t ranks, std::int32_t num_slots) {
  Placement placement;
  placement.ranks = ranks;
  placement.experts = experts;
  placement.first.assign(static_cast<std::size_t>(experts) + 1, 0);
  const std::int32_t each = num_slots / ranks, more = num_slots % ranks;
  for (std::int32_t rank = 0; rank < ranks; ++rank) {
    for (std::int32_t i = 0; i < each + (rank < more ? 1 : 0); ++i) {
      placement.slot_expert.push_back(placement.num_slots() % experts);
      placement.slot_rank.push_back(rank);
    }
  }
  for (const std::int32_t expert : placement.slot_expert) ++placement.first[static_cast<std::size_t>(expert) + 1];
  std::partial_sum(placement.first.begin(), placement.first.end(), placement.first.begin());
  for (std::int32_t expert = 0; expert < experts; ++expert)
    for (std::int32_t slot = expert; slot < num_slots; slot += experts) placement.slots.push_back(slot);
  return placement;
}

}  // namespace

Placement default_placement(std::int32_t experts, std::int32_t ranks) {
  MOESIM_CHECK(experts > 0 && ranks > 0, "a placement needs experts and ranks");
  return contiguous(experts, ranks, (experts + ranks - 1) / ranks * ranks);
}

Placement read_placement(const base::JsonNode* node, std::int32_t experts, std::int32_t ranks,
                         std::vector<std::string>& warnings) {
  if (node == nullptr) return default_placement(experts, ranks);
  const base::JsonObject object(*node, {"slots"});
  const auto slots_node = object.optional("slots");
  if (!slots_node) return default_placement(experts, ranks);
  const auto num_slots = static_cast<std::int32_t>(slots_node->integer(1, 1 << 24));
  if (num_slots < experts)
    slots_node->fail("fewer slots than the " + std::to_string(experts) + " experts", "a slot for every expert");
  if (num_slots < ranks)
    slots_node->fail("more ranks (" + std::to_string(ranks) + ") than slots", "a slot for every rank");
  if (num_slots % ranks != 0)
    warnings.push_back(slots_node->pointer() + ": " + std::to_string(num_slots) + " slots on " + std::to_string(ranks) +
                       " ranks: the first " + std::to_string(num_slots % ranks) + " ranks hold " +
                       std::to_string(num_slots / ranks + 1) + ", the others " + std::to_string(num_slots / ranks));
  if ((num_slots + ranks - 1) / ranks > experts)
    warnings.push_back(slots_node->pointer() + ": with " + std::to_string(num_slots) + " slots on " +
                       std::to_string(ranks) + " ranks a rank holds the same expert more than once");
  return contiguous(experts, ranks, num_slots);
}

}  // namespace moesim::workloads
