// A TaskGraph in SimGrid's terms: links, routes and units; or the refusal of what SimGrid cannot express.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "sim/engine/task_graph.h"

namespace moesim::engine {

struct SimgridPlan {
  static constexpr std::size_t kNoRoute = static_cast<std::size_t>(-1);

  std::vector<double> link_capacity;             // [links] in SimGrid's units
  std::vector<std::vector<std::size_t>> routes;  // [routes] links; one that is listed n times is consumed n times
  std::vector<std::size_t> route;                // [paths] kNoRoute where no flow takes it or it uses no resource
  // Powers of two from the graph's units to SimGrid's, so that scaling costs no precision. SimGrid counts amounts in
  // whole bytes: the largest becomes some 2^61 of them. Its clock is best between 1e-3 and 1e3 (simgrid_platform.h):
  // what the busiest resource needs and all delays together become some 64.
  int amount_exponent = 0;
  int time_exponent = 0;

  double time(base::Duration t) const { return std::ldexp(t.value(), time_exponent); }
  base::Duration unscaled(double t) const { return base::Duration(std::ldexp(t, -time_exponent)); }
  double rate(double r) const { return std::ldexp(r, amount_exponent - time_exponent); }
  std::uint64_t amount(double a) const {
    return static_cast<std::uint64_t>(std::llround(std::ldexp(a, amount_exponent)));
  }
};

// Of a graph with plain paths. Throws UnsupportedError: SM holds, multicast, capacity changes of a resource in use, a
// resource used by both flows and computes, weights on a resource that are not small whole multiples of one number,
// amounts too far apart.
SimgridPlan plan_for_simgrid(const TaskGraph& graph);

}  // namespace moesim::engine
