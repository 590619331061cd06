// What a placement makes of a routing: loads, copies, crossings; what they cost; how one placement compares to another.
//
// The tokens given are dealt to the ranks in contiguous blocks, as even as can be; or a token may come from any rank
// alike, and counts are expected ones: which rank a prompt was on says nothing about the next prompt there. A copy is a
// token that goes to a rank other than its own (once, however many of its experts are there). Kernels that forward
// inside NVLink domains send a token once into a domain other than its own, through any of its NICs; others send every
// copy through the receiver's NIC. A crossing is one of these.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/rank_map.h"
#include "base/units.h"
#include "workloads/placement.h"
#include "workloads/trace.h"

namespace moesim::workloads {

// What a unit costs. A bandwidth of 0 never binds.
struct PlacementCosts {
  base::Duration per_selection;      // of one token at one expert
  base::Duration per_slot;           // of reading one expert's weights
  base::Bytes bytes;                 // of a token on its way there and back: dispatch and combine have the same counts
  base::Bandwidth rank_bandwidth;    // into, and out of, a rank
  base::Bandwidth domain_bandwidth;  // into, and out of, an NVLink domain: all its NICs, shared by its ranks evenly
  bool once_per_domain = true;       // a token enters a domain once
  bool any_source = false;           // a token may come from any rank alike
};

// With the maxima over ranks r and domains d,
//   experts          max_r max(selections(r) * per_selection, slots hit(r) * per_slot)
//   rank_exchange    max_r max(copies in(r), copies out(r)) * bytes / rank_bandwidth
//   domain_exchange  max_d max(crossings in(d), crossings out(d)) * bytes / domain_bandwidth, or without forwarding
//                    max_r max(crossings in(r), crossings out(r)) * bytes * ranks of its domain / domain_bandwidth
struct PlacementTime {
  base::Duration experts;
  base::Duration rank_exchange;
  base::Duration domain_exchange;
  base::Duration total() const { return experts + (rank_exchange < domain_exchange ? domain_exchange : rank_exchange); }
};
PlacementTime placement_time(const LayerRouting& routing, const Placement& placement, const base::RankMap& map,
                             const PlacementCosts& costs);

// Without costs.
struct PlacementQuality {
  double load_imbalance = 1;       // selections on the busiest rank over the mean
  double copies_per_token = 0;     // other ranks that a token goes to, mean
  double copies_imbalance = 1;     // copies into the busiest rank over the mean of all; 1 without copies
  double crossings_per_token = 0;  // of a token, mean
  double crossings_imbalance = 1;  // into the busiest domain (without forwarding: rank) over the mean of all
};
PlacementQuality placement_quality(const LayerRouting& routing, const Placement& placement, const base::RankMap& map,
                                   bool once_per_domain = true);

// Two placements on tokens that neither has seen: how much of what was gained where a placement was computed is left.
struct PlacementEffect {
  PlacementQuality before;
  PlacementQuality after;
};
PlacementEffect placement_effect(const LayerRouting& held_out, const Placement& before, const Placement& after,
                                 const base::RankMap& map, bool once_per_domain = true);

// Of one or more layers, their mean: "the busiest GPU computes 1.21 times the mean (contiguous, without spare slots:
// 2.91), a token goes to 6.4 other GPUs (6.6), with 4.3 crossings between NVLink domains (4.8)", `before` being the
// default placement.
std::string describe(const std::vector<PlacementEffect>& layers);

// The counts, kept up while slots exchange their experts. A unit is one copy of an expert, numbered as in
// Placement::slots: the tokens that use it never change, the rank that it is on does.
class PlacementCounters {
 public:
  // `map` has a place for every rank of the placement; the routing must outlive the counters.
  PlacementCounters(const LayerRouting& routing, const Placement& placement, const base::RankMap& map,
                    const PlacementCosts& costs);

  // Exchanges the ranks of two units: O(tokens of both * top_k).
  void exchange(std::int32_t a, std::int32_t b);

  struct Worth {
    PlacementTime time;
    double squares = 0;        // sum of squares of all the terms of which `time` has the maxima
    std::int32_t binding = 0;  // rank with the greatest term, or -1 - domain
  };
  Worth worth() const;
  PlacementQuality quality() const;

  std::int32_t units() const { return static_cast<std::int32_t>(unit_rank_.size()); }
  std::int32_t rank_of(std::int32_t unit) const { return unit_rank_[static_cast<std::size_t>(unit)]; }
  std::int32_t domain_of(std::int32_t rank) const { return domain_[static_cast<std::size_t>(rank)]; }

 private:
  double per_unit(base::Bandwidth bandwidth) const;
  double busiest_way(std::int32_t rank) const;  // copies into or out of a rank
  // Seconds of the crossings into or out of a domain or rank; into_domain: all crossings into its domain.
  double busiest_boundary(std::size_t boundary, std::int64_t into_domain) const;
  std::int32_t source(std::int64_t token) const;  // the rank of a token
  void copy(std::int32_t from, std::int32_t to, std::int64_t change);
  void crossing(std::int32_t from, std::int32_t to, std::int64_t change);  // between ranks
  void add_token(std::int64_t token);
  void move(std::int32_t token, std::int32_t unit, std::int32_t old_rank, std::int32_t new_rank);

  LayerRouting routing_;
  PlacementCosts costs_;
  std::vector<std::int32_t> domain_;       // [ranks]
  std::vector<std::int32_t> domain_size_;  // [domains]
  std::int32_t ranks_;
  std::vector<std::int32_t> token_unit_;                                       // [tokens][top_k]
  std::vector<std::int32_t> unit_rank_;                                        // [units]
  std::vector<std::vector<std::int32_t>> unit_tokens_;                         // [units], rising
  std::vector<std::int64_t> selections_, slots_hit_, copies_in_, copies_out_;  // [ranks]
  std::vector<std::int64_t> crossings_in_, crossings_out_;                     // [domains], without forwarding [ranks]
  // From any source: copies_in_ and crossings_in_ count own ranks and domains too, these are their sums.
  std::int64_t all_copies_ = 0, all_crossings_ = 0;
};

}  // namespace moesim::workloads
