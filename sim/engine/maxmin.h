// Max-min fair rates, kept up to date while flows come and go.
//
// Mathematics. Flows f progress at rates x_f; flow f consumes a_fl x_f of each link l on its route, and sum_f a_fl x_f
// <= C_l. Max-min fair: all rates rise together and a flow stops at its first full link or at its cap. Hence every flow
// has a *bottleneck*: a full link on which nobody is faster, or its cap; and all flows with one bottleneck share one
// rate. This solver therefore keeps one rate per link, not per flow:
//
//   class     all flows with one route (links and weights) and one cap: they always share a rate;
//   group     of a link: the classes whose bottleneck it is; `level` is their rate. A cap is a pseudo-link with a fixed
//             level, shared by all classes with that cap;
//   M[g][l]   what the group of g consumes of l per unit of level;  deg_l = sum_g M[g][l]  what all flows do;
//   ratio     of a link not frozen yet: (C_l - used by frozen groups) / (deg_l - weight of frozen groups), the level at
//             which it would be full if all its other flows went on rising. Freezing a link never lowers a ratio.
//
// Water-filling runs in *phases*. Links are coloured so that two links of one colour share no flow. A phase takes the
// colour with the smallest ratio and freezes all its links whose ratio is at most the smallest ratio of every other
// colour: nothing that could touch their flows freezes before them. Classes that cross a link frozen now and belong to
// an unfrozen group move to it (few do: the grouping hardly changes between solves), and so do those without a group:
// a class gets its first group from the solve, not before.
//
// Restart. Removing a flow of group g changes no phase before that of g, because all links on its route freeze no
// earlier. A log of (used, weight frozen) by block of eight links makes the state before any phase available at once;
// arrivals and capacity changes start from the first phase.
//
// Layout. Links of one colour are stored together, padded to blocks of eight lanes. M is a sparse matrix of tiles: for
// a link g, one tile for each block with a link that some class shares with g, with one byte of lanes that are not zero
// (`row`) and one byte of the transposed entries that are not (`column`). A row's tiles come in runs of adjacent
// blocks, so that eight of them are looked at as one word; the loops avoid branches on data, which would be
// mispredicted. Links that freeze early come first in their colour, as far as the caller can tell (`rank`), so that a
// phase finds those that are still open in few blocks. An entry of M is stored in one byte, or two, if none can become
// larger: M is what does not fit into caches.
//
// Exactness. The weights of a link are scaled to integers (to units of its smallest weight where all are multiples of
// it, otherwise to 2^-52 of the sum of all weights that can be active at once), so that M, deg and the frozen weight
// are exact and "nobody left" is a comparison with zero.
//
// Invariants after solve(): certificate() holds; every class with flows is in the group of a frozen link of its route;
// M[g][l] = sum of n_c a_cl over the classes c of group g; an empty class is in no group.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "sim/engine/lanes.h"

namespace moesim::engine {

// Links and classes as flat arrays.
struct MaxMinProblem {
  std::vector<double> capacity;            // [links], >= 0
  std::vector<std::uint32_t> route_begin;  // [classes + 1] into route_link, route_weight
  std::vector<std::uint32_t> route_link;   // each link at most once in a route; empty only with a cap
  std::vector<double> route_weight;        // consumption per unit of progress, > 0
  std::vector<double> rate_cap;            // [classes] > 0, infinity if none
  std::vector<std::uint32_t> room;         // [classes] flows that may be active at once, > 0
  std::vector<double> rank{};              // [links] or empty: the smaller, the earlier it is likely to freeze

  std::size_t links() const { return capacity.size(); }
  std::size_t classes() const { return rate_cap.size(); }
};

// "" if `rate` [classes] is max-min fair for `flows` [classes] active flows, within a relative `tolerance`; otherwise
// what is violated. Progress that no capacity allows is a violation, and so is a class without a bottleneck.
std::string certificate(const MaxMinProblem& problem, std::span<const std::uint32_t> flows,
                        std::span<const double> rate, double tolerance);

enum class VectorWidth : std::uint8_t { Sse2, Avx2, Avx512 };
VectorWidth widest_vectors();  // that this machine has

class MaxMin {
 public:
  static constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

  // A class that changed its group: indices into its route of positions; `from` is kNone if it had none.
  struct Move {
    std::uint32_t klass;
    std::uint32_t from;
    std::uint32_t to;
  };

  explicit MaxMin(VectorWidth width = widest_vectors()) : width_(width) {}

  // Starts anew with no flows. Keeps its storage.
  void build(const MaxMinProblem& problem);
  void add(std::uint32_t klass, std::uint32_t flows = 1);  // at most `room` in all
  void remove(std::uint32_t klass, std::uint32_t flows = 1);
  void set_capacity(std::uint32_t link, double capacity);
  // Makes rates fair again, from the first phase that the changes since the last solve touch.
  void solve();

  bool changed() const { return restart_ != kNone; }
  std::uint32_t flows(std::uint32_t klass) const { return class_[klass].flows; }
  // Of a class with flows.
  double rate(std::uint32_t klass) const { return level_[hop_[class_[klass].group].position]; }

  double level(std::uint32_t link) const { return level_[position_[link]]; }  // of its group when it last froze

  // For what is kept by link: the links' positions, in blocks of kLanes, with empty ones between colours.
  std::size_t positions() const { return level_.size(); }
  const double* levels() const { return level_.data(); }
  // Where class c's route lies in the two arrays below; the index of its group's link in them (kNone if it is empty,
  // and from its first flow to the next solve).
  std::uint32_t route_begin(std::uint32_t klass) const { return class_[klass].route_begin; }
  std::uint32_t route_end(std::uint32_t klass) const { return class_[klass].route_end; }
  std::uint32_t group(std::uint32_t klass) const { return class_[klass].group; }
  std::uint32_t route_position(std::uint32_t hop) const { return hop_[hop].position; }
  // Each position has a slot for every class that crosses it, padded to blocks of kLanes (padding: kNone).
  std::uint32_t route_slot(std::uint32_t hop) const { return hop_[hop].slot; }
  std::uint32_t slot_begin(std::uint32_t position) const { return slot_begin_[position]; }
  std::uint32_t slot_class(std::uint32_t slot) const { return slot_class_[slot]; }
  std::size_t slots() const { return slot_class_.size(); }
  // Positions whose level the last solve set.
  std::span<const std::uint32_t> refrozen() const {
    return std::span(frozen_order_).subspan(first_refrozen_, frozen_count_ - first_refrozen_);
  }
  // Classes whose group changed in the last solve, each once.
  std::span<const Move> moves() const { return moves_; }
  std::uint64_t work() const { return work_; }  // blocks looked at in all solves since build()

 private:
  void scale(const MaxMinProblem& problem);
  void add_slots();
  std::uint32_t try_colours(std::size_t real_links, std::size_t words, std::vector<std::uint32_t>& colour_of);
  void colour(const MaxMinProblem& problem);
  void place_slots();
  void add_tiles(const MaxMinProblem& problem);
  void change(std::uint32_t klass, std::uint32_t hop, double flows);
  void change_deg(std::uint32_t klass, double flows);
  void count_unsettled(std::uint32_t klass, std::int32_t change);
  void move(std::uint32_t klass, std::uint32_t position);
  void move_crossing(std::uint32_t position);
  void join(std::uint32_t position, std::uint32_t tile, std::uint64_t lanes);
  void touch_block(std::size_t block) { touched_blocks_[block / 64] |= std::uint64_t{1} << block % 64; }
  std::uint32_t find_tile(std::uint32_t position, std::uint32_t block) const;
  double add_weight(std::size_t entry, double flows);
  std::uint32_t roll_back();
  void grow_log();
  template <std::size_t Bytes, bool OneWord, class Entry>
  void solve_with(Entry* weight);
  template <std::size_t Bytes>
  void solve_at();
  void solve_sse2();
  void solve_avx2();
  void solve_avx512();

  VectorWidth width_;

  // Structure, fixed by build(). P positions, B blocks, H hops (class, link) with caps' pseudo-links, T tiles.
  std::vector<std::uint32_t> position_;      // [links + pseudo-links]
  std::vector<std::uint32_t> colour_begin_;  // [colours + 1] blocks
  std::vector<std::uint64_t> colour_bit_;    // [B] of its colour, the last one for all colours from 63 on
  std::uint32_t first_cap_block_ = 0;        // blocks from here on hold pseudo-links
  LaneVector cap_;                           // [P] of a pseudo-link
  std::vector<double> link_scale_;           // [links]
  double largest_deg_ = 0;                   // what deg of a link can become
  struct Hop {
    std::uint32_t position;
    std::uint32_t slot;
    double weight;  // scaled
  };
  std::vector<Hop> hop_;                   // [H]
  std::vector<std::uint32_t> slot_begin_;  // [P + 1]
  std::vector<std::uint32_t> slots_of_;    // [P] without the padding
  std::vector<std::uint32_t> slot_class_;
  struct Run {
    std::uint32_t tile;    // the first
    std::uint32_t block;   // the first
    std::uint32_t length;  // in tiles
  };
  std::vector<std::uint32_t> run_begin_;  // [P + 1]
  std::vector<Run> runs_;
  struct Word {  // up to eight tiles of a run
    std::uint32_t tile;
    std::uint32_t block;
    std::uint64_t bytes;  // which of the eight belong to it
  };
  std::vector<std::uint32_t> word_begin_;  // [P + 1]
  std::vector<Word> words_;
  std::vector<Run> only_run_;              // [P] if no row has more than one (length 0: none), otherwise empty
  std::vector<std::uint32_t> entry_at_;    // [P * B] else: kLanes * find_tile(), empty if that would be too large
  std::vector<std::uint32_t> only_class_;  // [8 T] the class that crosses both links; kNone if not just one

  // State of the flows.
  struct Class {
    std::uint32_t route_begin = 0, route_end = 0;  // hops
    std::uint32_t flows = 0;
    std::uint32_t group = kNone;  // hop
  };
  std::vector<Class> class_;  // [classes]
  LaneVector weight_;         // [8 T] M, in one of these three
  std::vector<std::uint16_t> weight16_;
  std::vector<std::uint8_t> weight8_;
  std::vector<std::uint8_t> row_;        // [T], padded to read words
  std::vector<std::uint8_t> column_;     // [T], padded to read words
  LaneVector deg_;                       // [P]
  std::vector<std::int32_t> unsettled_;  // [P] classes with flows, but without a group so far

  // State of the water-filling.
  LaneVector open_deg_;                      // [P] deg of a link not frozen, -infinity of others
  LaneVector ratio_;                         // [P] infinity of frozen links and of those with nobody left
  LaneVector level_;                         // [P]
  std::vector<std::uint8_t> frozen_;         // [B] lanes, padded to read words
  std::vector<double> colour_low_;           // [colours] smallest ratio
  std::vector<std::uint32_t> first_open_;    // [colours] blocks of it before this one are all frozen
  std::vector<std::uint32_t> phase_of_;      // [P] of a frozen link
  std::vector<std::uint32_t> frozen_order_;  // links in order of freezing
  std::uint32_t frozen_count_ = 0, first_refrozen_ = 0;
  LaneVector log_;                           // [16 records] capacity left and weight frozen of a block
  std::vector<std::uint32_t> log_block_;     // [records]
  std::vector<std::uint32_t> log_previous_;  // [records] the block's record before
  std::vector<std::uint32_t> current_;       // [B] record
  std::uint32_t log_top_ = 0;
  std::vector<std::uint32_t> phase_log_;     // [phases] log_top before it
  std::vector<std::uint32_t> phase_frozen_;  // [phases] frozen_count before it
  struct Giving {                            // a group frozen in the present phase
    double level;
    std::uint32_t position;
    Run run;
    const std::uint32_t* entry_at;
  };
  std::vector<Giving> giving_;
  std::vector<std::uint64_t> touched_blocks_;  // bits: ratios to be computed; none between solves but by changes
  std::uint32_t num_phases_ = 0;
  std::uint32_t restart_ = kNone;  // first phase to do again
  std::vector<Move> moves_;
  std::uint64_t work_ = 0;

  // Scratch of build().
  std::vector<std::uint32_t> link_begin_, link_hop_, hop_class_, by_rank_, scratch_;
  std::vector<std::uint64_t> class_colours_, met_;
  std::vector<float> entry_sum_;  // [P] of a row of M
};

}  // namespace moesim::engine
