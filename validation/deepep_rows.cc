#include "validation/deepep_rows.h"

#include "sim/engine/engine.h"

namespace moesim::validation {

DeepEpRow read_deepep_row(const calibration::Table& table, std::size_t row) {
  DeepEpRow shape;
  shape.nodes = static_cast<std::int32_t>(table.integer(row, "nodes", 1));
  shape.ranks = static_cast<std::int32_t>(table.integer(row, "ep", 1));
  shape.experts = static_cast<std::int32_t>(table.integer(row, "experts", 1));
  shape.top_k = static_cast<std::int32_t>(table.integer(row, "topk", 1));
  shape.hidden = table.integer(row, "hidden", 1);
  shape.tokens_per_rank = table.integer(row, "tokens_per_rank", 0);
  if (shape.ranks % shape.nodes != 0)
    table.fail(row, "ep", "not a multiple of nodes, " + std::to_string(shape.nodes), "whole nodes");
  if (shape.top_k > shape.experts)
    table.fail(row, "topk", "more than the experts", "at most " + std::to_string(shape.experts));
  return shape;
}

base::Duration simulate(const System& on, std::int32_t ranks,
                        const std::function<engine::ExchangeEvents(lowering::Network&)>& lower) {
  engine::TaskGraph graph;
  const auto cluster = on.cluster(ranks);
  lowering::Network network(graph, *cluster->router);
  const engine::ExchangeEvents last = lower(network);
  return engine::make_engine(engine::default_engine())->run(graph).event[last.all_done().index()];
}

lowering::MoeExchange deepep_exchange(const DeepEpRow& shape, const lowering::MoeTokens& tokens, bool combine,
                                      base::Bytes dispatch_message) {
  lowering::MoeExchange exchange;
  exchange.name = combine ? "combine" : "dispatch";
  exchange.tokens = &tokens;
  exchange.combine = combine;
  exchange.hidden = static_cast<double>(shape.hidden);
  exchange.experts = shape.experts;
  exchange.message = combine ? lowering::deepep_combine_bytes(exchange.hidden) : dispatch_message;
  return exchange;
}

std::array<Sample, 2> deepep_samples(const DeepEpRow& shape, std::size_t row) {
  std::array<Sample, 2> samples;
  for (const bool combine : {false, true}) {
    Sample& sample = samples[combine ? 1 : 0];
    sample.row = row;
    sample.column = combine ? "combine_predicted_us" : "dispatch_predicted_us";
    sample.group = std::string(combine ? "combine" : "dispatch") + ", EP" + std::to_string(shape.ranks) + ", " +
                   std::to_string(shape.nodes) + (shape.nodes == 1 ? " node" : " nodes");
    sample.size = static_cast<double>(shape.tokens_per_rank);
    sample.size_unit = "tokens per GPU";
    if (shape.top_k <= 2) sample.error_class = "top_k <= 2";
  }
  return samples;
}

}  // namespace moesim::validation
