// Which links can bind, and which classes of flows can affect each other at all.
//
// A link is *dropped* when others keep it from ever being the only limit: if every class that crosses l also crosses
// some kept link s (or has a cap) and these let through no more than C_l altogether,
//   sum over the chosen s of C_s max_c(a_cl / a_cs)  +  sum over capped c of room_c cap_c a_cl   <=   C_l,
// then whenever l is full so are they, and a flow's bottleneck can be taken among them. Links are dropped one at a
// time, largest first, and only kept links vouch for others (two equal links in series must not drop each other).
// Classes joined by chains of kept links form a *component*; components evolve independently of each other.
// Classes joined by chains of any links form a *family*: what an arrival on one of its links can connect again.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace moesim::engine {

// All classes of a run; see maxmin.h.
struct Routes {
  std::vector<std::uint32_t> begin{0};  // [classes + 1] into link and weight
  std::vector<std::uint32_t> link;
  std::vector<double> weight;
  std::vector<double> rate_cap;

  std::size_t classes() const { return rate_cap.size(); }
};

class Decomposer {
 public:
  // least, most: [links] between which a capacity may change while flows are active; least < most is never dropped.
  Decomposer(std::vector<double> least, std::vector<double> most);

  // Looks at some classes of `routes`, in increasing order; room[c] is the number of flows of class c that may be
  // active.
  void run(const Routes& routes, std::span<const std::uint32_t> classes, std::span<const std::uint32_t> room);
  // The same without families.
  void run_components(const Routes& routes, std::span<const std::uint32_t> classes,
                      std::span<const std::uint32_t> room);

  // Results: for each of `classes`, its family and its component, numbered in order of their first class.
  std::span<const std::uint32_t> family() const { return family_; }
  std::span<const std::uint32_t> component() const { return component_; }
  std::uint32_t families() const { return families_; }
  std::uint32_t components() const { return components_; }
  bool dropped(std::uint32_t link) const { return dropped_[link] != 0; }

 private:
  void index_links(const Routes& routes, std::span<const std::uint32_t> classes);
  void drop(const Routes& routes, std::span<const std::uint32_t> classes, std::span<const std::uint32_t> room);
  bool can_drop(const Routes& routes, std::uint32_t link, std::span<const std::uint32_t> classes,
                std::span<const std::uint32_t> room);
  std::uint32_t find(std::uint32_t i);
  std::uint32_t label(std::size_t classes, bool kept_only, std::vector<std::uint32_t>& labels);

  std::vector<double> least_, most_;
  std::vector<char> dropped_;                   // [links]
  std::vector<std::uint32_t> links_;            // used by the classes
  std::vector<std::uint32_t> order_;            // [links] position in links_ + 1, 0 if not used
  std::vector<std::uint32_t> begin_, members_;  // by position in links_: (index of class)
  std::vector<std::uint32_t> member_hop_;
  std::vector<double> vouched_;  // [links] largest a_cl / a_cs so far, while looking at one l
  std::vector<std::uint32_t> vouching_, by_capacity_;
  std::vector<std::uint32_t> parent_;
  std::vector<std::uint32_t> family_, component_;
  std::uint32_t families_ = 0, components_ = 0;
};

}  // namespace moesim::engine
