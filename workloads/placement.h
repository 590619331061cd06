// Where experts live. A slot is a physical copy of an expert; slots are dealt to ranks in contiguous blocks.
//
// Ways to fill the slots: here (contiguous, random), eplb.h (balances loads) and placement_search.h (balances what
// binds); placement_section.h reads them from a scenario.
#pragma once

#include <cstdint>
#include <vector>

namespace moesim::workloads {

struct Placement {
  std::int32_t ranks = 0;
  std::int32_t experts = 0;
  std::vector<std::int32_t> slot_expert;  // [slots]
  std::vector<std::int32_t> slot_rank;    // [slots], not decreasing
  // Replicas of each expert: slots[first[e] ... first[e + 1]) are its slots. Token t uses replica t mod count.
  std::vector<std::int32_t> first;  // [experts + 1]
  std::vector<std::int32_t> slots;  // [slots]

  std::int32_t num_slots() const { return static_cast<std::int32_t>(slot_expert.size()); }

  bool operator==(const Placement&) const = default;
};

// Slot s holds slot_expert[s]; the first (slots mod ranks) ranks have one slot more than the others. Replicas are
// numbered by their slots. At least as many slots as ranks, and every expert in at least one slot.
Placement place(std::vector<std::int32_t> slot_expert, std::int32_t experts, std::int32_t ranks);

// Slot s holds expert s mod experts.
Placement contiguous_placement(std::int32_t experts, std::int32_t ranks, std::int32_t slots);
// The same experts in a random order (a rank may hold two copies of one).
Placement random_placement(std::int32_t experts, std::int32_t ranks, std::int32_t slots, std::uint64_t seed);

// ceil(experts / ranks) * ranks slots, contiguous. More ranks than slots cannot be.
Placement default_placement(std::int32_t experts, std::int32_t ranks);

}  // namespace moesim::workloads
