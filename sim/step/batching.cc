#include "sim/step/batching.h"

#include <algorithm>
#include <cmath>

#include "sim/engine/engine.h"

namespace moesim::step {
namespace {

results::BatchingError differences(const results::Timeline& exact, const results::Timeline& batched) {
  results::BatchingError error;
  double flows = 0;
  for (std::size_t x = 0; x < exact.drained.size(); ++x) {
    for (std::size_t f = 0; f < exact.drained[x].size(); ++f) {
      const double one = std::abs(batched.drained[x][f] / exact.drained[x][f] - 1);
      error.mean_flow += one;
      error.largest_flow = std::max(error.largest_flow, one);
      ++flows;
    }
  }
  if (flows > 0) error.mean_flow /= flows;
  if (exact.makespan > base::Duration(0)) error.total = std::abs(batched.makespan / exact.makespan - 1);
  return error;
}

// The flows of the largest exchange between ranks below `ranks`, all starting at 0, on the links of `graph`.
engine::TaskGraph part_of(const engine::TaskGraph& graph, const engine::Exchange& exchange, std::int32_t ranks) {
  engine::TaskGraph part;
  for (const engine::Resource& resource : graph.resources()) part.add_resource(resource);
  engine::Exchange sample{exchange.name, ranks, {}, {}, {}};
  for (engine::Flow flow : exchange.flows) {
    if (flow.source >= ranks || flow.receiver < 0 || flow.receiver >= ranks) continue;
    flow.path = part.add_path(graph.uses(exchange, flow), graph.path_latency(flow.path));
    sample.flows.push_back(flow);
  }
  part.add_exchange(std::move(sample));
  return part;
}

}  // namespace

results::BatchingError measure_batching(const engine::TaskGraph& graph, const results::Timeline& batched,
                                        std::int32_t ranks, double tolerance) {
  const auto exact = engine::make_engine("fluid");
  if (ranks <= kSampleRanks) {
    results::BatchingError error = differences(exact->run(graph), batched);
    error.sample = "the whole layer";
    return error;
  }
  const auto& exchanges = graph.exchanges();
  const auto largest = std::max_element(exchanges.begin(), exchanges.end(),
                                        [](const auto& a, const auto& b) { return a.flows.size() < b.flows.size(); });
  const engine::TaskGraph part = part_of(graph, *largest, kSampleRanks);
  results::BatchingError error =
      differences(exact->run(part), engine::make_engine("fluid", {tolerance, false})->run(part));
  error.sample = largest->name + " among the first " + std::to_string(kSampleRanks) + " GPUs by itself";
  return error;
}

}  // namespace moesim::step
