// Where experts live. A slot is a physical copy of an expert; slots are dealt to ranks in contiguous blocks.
#pragma once

#include <cstdint>
#include <vector>

#include "base/json.h"

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
};

// ceil(experts / ranks) * ranks slots; slot s holds expert s mod experts. More ranks than slots cannot be.
Placement default_placement(std::int32_t experts, std::int32_t ranks);
// {"slots": 288} (or absent: the default). More ranks than slots, or fewer slots than experts, is an InputError; slots
// that the ranks do not divide are dealt as evenly as contiguity allows, with a warning.
Placement read_placement(const base::JsonNode* node, std::int32_t experts, std::int32_t ranks,
                         std::vector<std::string>& warnings);

}  // namespace moesim::workloads
