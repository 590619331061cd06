// How long GPUs wait for others: the price of loads that differ.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "results/timeline.h"
#include "sim/engine/task_graph.h"
#include "workloads/traffic.h"

namespace moesim::step {

// An exchange or collective, as far as its ranks wait for each other. It refers to its traffic.
struct Meeting {
  std::vector<std::int32_t> ranks;              // of the cluster, by local rank
  std::vector<engine::EventId> start;           // [ranks] when each begins it
  std::vector<engine::EventId> done;            // [ranks] when each has all that it receives
  const workloads::Traffic* traffic = nullptr;  // between local ranks; null: each receives from all others
  bool reversed = false;                        // of the traffic: a combine
};

// [ranks] seconds from a rank's own start until the last of those that it receives from has started, or until it is
// done if that is earlier.
std::vector<double> late_senders(const Meeting& meeting, const results::Timeline& timeline);

// A stretch of time of one GPU.
struct Stretch {
  std::int32_t rank = 0;  // of the cluster
  double begin = 0, end = 0;
};
// Seconds of `waits` in which the same GPU does not compute; neither list overlaps itself on a GPU.
double idle_time(std::span<const Stretch> waits, std::vector<Stretch> computing);

}  // namespace moesim::step
