// What an engine returns: when everything happened, and what each resource carried.
#pragma once

#include <string>
#include <vector>

#include "base/units.h"

namespace moesim::results {

struct Timeline {
  std::string engine;                        // "simgrid", "fluid", "bound"
  double tolerance = 0;                      // relative; 0 is exact
  std::vector<base::Duration> event;         // [events] when each fired
  std::vector<std::vector<double>> drained;  // [exchanges][flows] seconds: the flow's last byte has left
  std::vector<double> carried;               // [resources] amount, in the resource's unit times seconds (bytes, ...)
  base::Duration makespan;                   // the last event
};

}  // namespace moesim::results
