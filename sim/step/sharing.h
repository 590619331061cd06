// Which transfers meet on a link: one that starts early may delay another that more depends on.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "results/timeline.h"
#include "sim/engine/task_graph.h"
#include "sim/step/step_graph.h"

namespace moesim::step {

// What results say where a transfer of the critical path shares the link that binds it.
inline constexpr const char* kSharingNote =
    "transfers that meet on a link share it max-min fairly, none goes first: what some GPUs send early slows what "
    "others still wait for, so that faster links elsewhere can make the whole slower";

class Sharing {
 public:
  // Both must outlive it.
  Sharing(const StepGraph& step, const results::Timeline& timeline);

  // The phases of other parts of the graph that had at least 2 % of `resource` between `from` and `to`, "combine" or
  // "combine, dispatch"; "" without any. A flow's bytes count as even over its time. Of engine "bound" nothing is
  // known.
  std::string others(std::size_t exchange, engine::ResourceId resource, base::Duration from, base::Duration to) const;

 private:
  double used(std::size_t exchange, engine::ResourceId resource, double from, double to) const;

  const StepGraph* step_;
  const results::Timeline* timeline_;
  std::vector<double> first_, last_;  // [exchanges] seconds: the first start, the last end
};

}  // namespace moesim::step
