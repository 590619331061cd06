// Flows that share links, in virtual time: when does the next one end?
//
// All flows of a group (see maxmin.h) progress at the level of its link. So each position p keeps the integral V_p of
// its level, and a flow with work w left, seen at moment t, ends when V_p = V_p(t) + w: a constant as long as the class
// stays in the group. A class keeps its own progress U = V_p + offset, continuous when it moves, and a heap of its
// flows by the progress at which each is drained. A position has a slot per class that crosses it: the first end, in
// terms of V_p, among the class's flows while the class belongs to the group, otherwise infinity. A completion
// therefore touches the slots of one position, plus those of the few classes that change their group.
//
// V is brought up to date, and the time at which the first slot ends is computed, only for blocks of positions of which
// a level or a first slot has changed.
//
// A component of one class needs none of this: its rate is what its links leave to its flows (Lone). Most computes are
// such.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "sim/engine/flow_heaps.h"
#include "sim/engine/lanes.h"
#include "sim/engine/maxmin.h"

namespace moesim::engine {

class FluidComponent {
 public:
  // A flow that has ended. Where several ends were put together, `at` is its own.
  struct Ended {
    std::uint32_t flow;
    double at;
  };

  void build(const MaxMinProblem& problem, double now);

  // The class's progress so far, to carry on with when the component is built anew (0 for a fresh one).
  double progress(std::uint32_t klass) const {
    if (lone_.is) return lone_now() + members_[klass].offset;
    return rates_.group(klass) == MaxMin::kNone ? members_[klass].offset
                                                : virtual_now(position_of(klass)) + members_[klass].offset;
  }
  std::uint32_t heap(std::uint32_t klass) const { return members_[klass].heap; }
  // When its last flow started.
  double since(std::uint32_t klass) const { return members_[klass].since; }
  // Adopts a class with flows from before; `progress` in terms of their tags.
  void adopt(const FlowHeaps& flows, std::uint32_t klass, std::uint32_t heap, std::uint32_t count, double progress,
             double since);
  // A new flow with `amount` to go; the component must have advanced to the present.
  void add(FlowHeaps& flows, std::uint32_t klass, double amount, std::uint32_t exchange, std::uint32_t index);
  void set_capacity(std::uint32_t link, double capacity) {
    lone_.is ? void(lone_.capacity[link] = capacity) : rates_.set_capacity(link, capacity);
  }

  // Solves if anything changed, and finds the next completions: all that end so soon after the first one that none
  // of them is moved by more than `tolerance` * its own duration are completed together, at the rate-weighted mean of
  // their times.
  void schedule(double tolerance);
  double next() const { return next_; }  // infinity if none

  void advance(double now) { clock_ = now; }
  // Completes, at next(), what schedule() found; the flows leave their heaps and are appended to `ended`.
  void complete_scheduled(FlowHeaps& flows, std::vector<Ended>& ended);
  // Completes what is due at the present, if anything is (batching may pass the end of a flow).
  void complete_due(FlowHeaps& flows, std::vector<Ended>& ended);

  double clock() const { return clock_; }
  std::uint32_t classes_with_flows() const { return classes_with_flows_; }
  std::uint32_t flows(std::uint32_t klass) const { return lone_.is ? lone_.flows : rates_.flows(klass); }
  // Of a class with flows.
  double rate(std::uint32_t klass) const { return lone_.is ? lone_.rate : rates_.rate(klass); }
  double level(std::uint32_t link) const { return lone_.is ? lone_.rate : rates_.level(link); }  // see maxmin.h
  std::uint64_t work() const { return lone_.is ? 0 : rates_.work(); }

 private:
  struct Due {
    std::uint32_t position;
    std::uint32_t slot;
    double limit;  // the class's flows up to here
    double at;
  };
  struct Lone {  // the only class
    bool is = false;
    std::vector<double> capacity, weight;  // [links]
    double rate_cap = 0;
    std::uint32_t flows = 0;
    double rate = 0;  // since then
    double since = 0;
    double progress = 0;  // V until then
  };
  double lone_now() const { return lone_.progress + lone_.rate * (clock_ - lone_.since); }
  void build_lone(const MaxMinProblem& problem);
  void schedule_lone(double tolerance);
  double virtual_at(std::uint32_t position, double time) const {
    return virtual_[position] + speed_[position] * (time - since_[position / kLanes]);
  }
  double virtual_now(std::uint32_t position) const { return virtual_at(position, clock_); }
  std::uint32_t position_of(std::uint32_t klass) const { return rates_.route_position(rates_.group(klass)); }
  void rescan(std::uint32_t position);
  void put(std::uint32_t klass);
  void touch(std::uint32_t position);
  void refresh();
  void find_slots(std::uint32_t position, double limit);
  void find_due(double first, double last);
  double last_to_join(double first, double last, double tolerance);
  void complete(FlowHeaps& flows, std::vector<Ended>& ended);
  void regroup();

  Lone lone_;
  MaxMin rates_;
  double clock_ = 0;
  double next_ = 0;
  LaneVector virtual_;             // [positions] V at `since`
  LaneVector speed_;               // [positions] level since then
  LaneVector head_;                // [positions] smallest slot
  LaneVector end_;                 // [positions] when it ends
  std::vector<double> since_;      // [blocks]
  std::vector<double> block_end_;  // [blocks] first end
  LaneVector slot_;                // [slots]
  struct Member {
    double offset = 0;
    double tag = 0;    // of the first of its heap
    double since = 0;  // when its last flow started
    std::uint32_t heap = FlowHeaps::kNone;
  };
  std::vector<Member> members_;  // [classes]
  std::vector<Due> due_;
  std::vector<std::pair<double, double>> joining_;  // scratch: ends and until when they may be put off
  std::vector<std::uint32_t> stale_;                // positions whose head has left
  std::vector<char> is_stale_;                      // [positions]
  std::vector<std::uint32_t> touched_;              // blocks to be refreshed
  std::vector<char> is_touched_;                    // [blocks]
  std::vector<double> steps_;                       // time since they were
  std::uint32_t classes_with_flows_ = 0;
};

}  // namespace moesim::engine
