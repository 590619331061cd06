// All flows of a run: components come and go, each with its own clock.
//
// Flows are announced (expect) before they start, so that a component has room for a whole exchange whose sources start
// one after the other. Changes of one moment take effect together at flush(). A component is built anew when a class
// appears that it does not know. Now and then it is looked at again: it may fall apart (rails do, once the traffic
// inside the nodes is over). Each time that it does not, more work has to be done before the next look. Nothing that a
// component computes depends on others, nor on when it starts: its clock counts from its origin. So an exchange that
// starts as a whole, apart from all others, just as one before it did, is *replayed* (fluid_replay.cc): a component of
// its own knows when its flows will end. If somebody joins it after all, it is simulated from its start to the present.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "sim/engine/decompose.h"
#include "sim/engine/exchange_memory.h"
#include "sim/engine/flow_heaps.h"
#include "sim/engine/fluid_component.h"

namespace moesim::engine {

class FluidNetwork {
 public:
  struct Options {
    double tolerance = 0;
    bool certify = false;
  };
  struct Completed {
    std::uint32_t exchange;
    std::uint32_t index;
    double at;  // the present; with a tolerance, when the flow itself would have ended, a little before or after
  };
  // capacity, least, most: [links] now, and the bounds between which set_capacity() will keep it.
  FluidNetwork(const Routes& routes, std::vector<double> capacity, std::vector<double> least, std::vector<double> most,
               Options options);

  // Which exchanges have an equal, [exchanges]: only those are remembered.
  void set_repeated(std::vector<char> repeated) { repeated_ = std::move(repeated); }
  // How many exchanges were replayed instead of simulated.
  std::uint64_t replays() const { return replays_; }

  void expect(std::uint32_t klass);
  // A flow that was expected starts at the present. `exchange` and `index` come back in Completed.
  void start(std::uint32_t klass, double amount, std::uint32_t exchange, std::uint32_t index);
  void set_capacity(std::uint32_t link, double capacity);
  // Brings the changes made at the moment `now` into effect. May complete flows that are due at it.
  void flush(double now, std::vector<Completed>& completed);
  // The next completion, infinity if none; valid after flush().
  double next() const {
    if (heap_.empty()) return kNever;
    return components_[heap_.front()]->next;
  }
  // Completes what is due at or before `now` >= next().
  void complete(double now, std::vector<Completed>& completed);

 private:
  static constexpr double kNever = std::numeric_limits<double>::infinity();
  static constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

  struct Component {
    FluidComponent fluid;
    std::vector<std::uint32_t> classes;  // increasing
    std::vector<std::uint32_t> room;     // [classes]
    std::vector<std::uint32_t> links;    // that it keeps
    Routes kept;                         // of its classes: hops over these links
    double origin = 0;                   // from when its clock counts
    double present = 0;                  // up to when it is simulated
    double next = kNever;
    std::uint32_t family = 0;
    std::uint32_t expected = 0;  // flows
    std::uint64_t look_at = 0;   // the solver's work at which to look at it again
    double patience = 0;         // the work to do before, in units of what a look costs
    std::uint32_t heap_place = kNone;
    std::uint32_t recording = kNone;                    // that its ends belong to
    const ExchangeMemory::Recording* replay = nullptr;  // what it replays, if it does
    std::size_t replay_at = 0;                          // the next end
    std::uint32_t exchange = kNone;                     // that it replays
    bool alive = false;
    bool dirty = false;
    bool outdated = false;  // to be built anew
  };
  struct Family {
    std::vector<std::uint32_t> components;
    std::uint32_t alive = 0;
    std::uint32_t generation = 0;
  };
  struct FamilyRef {
    std::uint32_t family = kNone;
    std::uint32_t generation = 0;
  };
  struct Arrival {
    std::uint32_t klass;
    double amount;
    std::uint32_t exchange, index;
  };
  struct Adopted {  // a class with flows between two components
    std::uint32_t heap = FlowHeaps::kNone;
    std::uint32_t flows = 0;
    double progress = 0;
    double since = 0;
  };

  struct Origin {  // what new components start from
    double now;
    double origin;
    double clock;
    std::uint32_t recording;
  };
  struct Recorder {  // of an exchange that is being simulated and remembered
    ExchangeMemory::Recording recording;
    std::uint32_t exchange = kNone;
    std::uint32_t parts = 0;  // components
    bool broken = false;      // somebody joined it
  };
  struct Candidate {  // an exchange that may start as a whole, apart from others
    std::uint32_t exchange;
    bool alone;
    ExchangeMemory::Start start;
  };

  // fluid_replay.cc
  void remember_or_replay(double now);
  std::vector<Candidate> find_candidates();
  void start_recording(Candidate& candidate);
  void start_replay(std::uint32_t exchange, const ExchangeMemory::Recording& recording, double now);
  void replay_ends(std::uint32_t component, double now, std::vector<Completed>& completed);
  void break_recording(const Component& component);
  void record(const Component& component, std::size_t first_ended);
  void part_ended(std::uint32_t recorder);
  void stop_disturbed_replays(double now);
  void stop_replay(std::uint32_t component, double now);

  void touch(std::uint32_t component);
  void synchronise(Component& component, double now);
  void set_next(std::uint32_t component, double by_its_clock);
  void outdate_family(FamilyRef ref);
  void rebuild(double now);
  // Lists the component's classes that still matter, keeps their flows in adopted_, and retires it.
  void take_apart(std::uint32_t component, double now);
  void rank_by_load();
  // Builds the components of classes_, which decomposer_ has just looked at as classes `members` of `routes`;
  // `families` by its number for them.
  void put_together(const Routes& routes, std::span<const std::uint32_t> members, const Origin& from,
                    std::span<const std::uint32_t> families);
  void build(std::uint32_t component, const Routes& routes, std::span<const std::uint32_t> members,
             std::span<const std::uint32_t> classes, const Origin& from);
  static void set_look(Component& component, double patience);
  static bool worth_a_look(const Component& component);
  bool look_again(std::uint32_t component, double now);
  std::uint32_t new_family();
  std::uint32_t new_component();
  void retire(std::uint32_t component);
  void report(double now, std::vector<Completed>& completed);
  void check_certificate() const;
  void heap_update(std::uint32_t component);
  bool heap_before(std::uint32_t a, std::uint32_t b) const;

  const Routes& routes_;
  Options options_;
  std::vector<double> capacity_;  // [links]
  Decomposer decomposer_;
  FlowHeaps flows_;
  std::vector<std::uint32_t> expected_;        // [classes] flows
  std::vector<std::uint32_t> component_;       // [classes] kNone if in none
  std::vector<std::uint32_t> local_;           // [classes] number in its component
  std::vector<Adopted> adopted_;               // while components are built anew
  std::vector<std::uint32_t> adopted_at_;      // [classes] in adopted_, kNone if it has no flows there
  std::vector<std::uint32_t> room_;            // [classes] scratch of rebuild()
  std::vector<char> listed_;                   // [classes] scratch
  std::vector<FamilyRef> link_family_;         // [links]
  std::vector<std::uint32_t> link_component_;  // [links] where it is kept; may be out of date
  std::vector<std::uint32_t> link_local_;      // [links]
  std::vector<double> link_rank_;              // [links] of MaxMinProblem, for the components to be built
  std::vector<std::unique_ptr<Component>> components_;
  std::vector<std::uint32_t> free_components_;
  std::vector<Family> families_;
  std::vector<std::uint32_t> free_families_;
  std::vector<std::uint32_t> heap_;  // components by (next, number)
  std::vector<std::uint32_t> dirty_, newcomers_;
  std::vector<std::uint32_t> outdated_;  // components
  std::vector<std::uint32_t> classes_;   // scratch: to be put together, increasing
  std::vector<std::uint32_t> by_component_, component_begin_, family_of_;
  std::vector<std::uint32_t> members_, member_of_;
  Routes apart_;  // what a component kept that is being built anew
  std::vector<std::pair<std::uint32_t, double>> capacity_changes_;
  std::vector<Arrival> arrivals_;
  std::vector<FluidComponent::Ended> ended_;
  MaxMinProblem problem_;

  // Remembering exchanges.
  ExchangeMemory memory_;
  std::vector<char> repeated_;  // [exchanges]
  std::vector<Recorder> recorders_;
  std::vector<std::uint32_t> free_recorders_;
  std::vector<std::uint32_t> class_recorder_;   // [classes] while a recorded exchange is built
  std::vector<std::uint32_t> class_candidate_;  // [classes] scratch
  std::vector<std::uint32_t> link_candidate_;   // [links] scratch
  std::vector<std::uint32_t> arrived_;          // [classes] scratch
  std::vector<std::uint32_t> replaying_;        // components, in no order
  std::uint64_t replays_ = 0;
  bool in_the_past_ = false;
};

}  // namespace moesim::engine
