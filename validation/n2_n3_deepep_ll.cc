// N2 and N3: nodes, ep, hidden, topk, experts, tokens_per_rank, dispatch_us, combine_us.
#include "validation/deepep_rows.h"
#include "validation/kinds.h"

namespace moesim::validation {
namespace {

using calibration::Table;

bool several_nodes(const Table& table) {
  for (std::size_t row = 0; row < table.rows(); ++row)
    if (table.integer(row, "nodes", 1) > 1) return true;
  return false;
}

Samples read(const Table& table, const System& system) {
  Samples result;
  const bool nvlink = system.has_nvlink();
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const DeepEpRow shape = read_deepep_row(table, row);
    for (Sample& sample : deepep_samples(shape, row)) {
      const bool combine = sample.column.starts_with("combine");
      sample.measured_us = table.time_us(row, combine ? "combine_us" : "dispatch_us");
      sample.kernel = lowering::deepep_ll_kernel(combine);
      if (!nvlink) continue;
      sample.predict = [shape, combine](const System& on, const profile::KernelParameters& parameters) {
        const lowering::MoeTokens tokens =
            lowering::expected_tokens(shape.ranks, shape.nodes, shape.nodes, static_cast<double>(shape.tokens_per_rank),
                                      shape.experts, shape.top_k);
        const lowering::MoeExchange exchange = deepep_exchange(
            shape, tokens, combine, lowering::deepep_ll_dispatch_bytes(static_cast<double>(shape.hidden)));
        return Estimate{
            simulate(on, shape.ranks,
                     [&](lowering::Network& network) {
                       return lowering::deepep_low_latency(network, exchange, on.profile(), parameters).events;
                     }),
            0, 0};
      };
      result.samples.push_back(std::move(sample));
    }
    if (!nvlink) result.skipped.push_back({row, system.name() + " has no NVLink, which DeepEP needs inside a node"});
  }
  return result;
}

TableKind low_latency(std::string_view name, std::string_view title, std::function<bool(const Table&)> matches) {
  TableKind kind;
  kind.name = name;
  kind.title = title;
  kind.columns = {"nodes", "ep", "hidden", "topk", "experts", "tokens_per_rank", "dispatch_us", "combine_us"};
  kind.time_columns = {"dispatch_us", "combine_us"};
  kind.matches = std::move(matches);
  for (const bool combine : {false, true})
    for (const profile::KernelModel& model : lowering::deepep_kernels())
      if (model.name == lowering::deepep_ll_kernel(combine)) kind.kernels.push_back(model);
  kind.read = read;
  kind.splits = {
      {"up to 128 tokens, more held out", Split::By::Size,
       [](const System&, const Table& t, std::size_t row) {
         return t.integer(row, "tokens_per_rank") <= 128 ? Part::Fit : Part::Test;
       }},
      {"hidden 6144 held out", Split::By::Shape,
       [](const System&, const Table& t, std::size_t row) {
         return t.integer(row, "hidden") == 6144 ? Part::Test : Part::Fit;
       }},
      {"hidden 2048 held out", Split::By::Shape,
       [](const System&, const Table& t, std::size_t row) {
         return t.integer(row, "hidden") == 2048 ? Part::Test : Part::Fit;
       }},
      {"hidden 4096 held out", Split::By::Shape,
       [](const System&, const Table& t, std::size_t row) {
         return t.integer(row, "hidden") == 4096 ? Part::Test : Part::Fit;
       }},
      {"one node, two nodes held out", Split::By::Shape,
       [](const System&, const Table& t, std::size_t row) {
         return t.integer(row, "nodes") == 1 ? Part::Fit : Part::Test;
       }},
  };
  kind.goal_median = 0.04;
  kind.goal_p90 = 0.10;
  kind.limits =
      "Start-up differs between hosts and releases and does not follow from a datasheet: the nodes of the multi-node "
      "table have a profile of their own (`hopper_ib400`). Combine slows by a sixth on Hopper for 160 experts (80 "
      "thread "
      "blocks), more than the law for few thread blocks gives. What start-up gains over several nodes was seen at two "
      "nodes only.";
  return kind;
}

}  // namespace

TableKind deepep_ll_kind() {
  return low_latency("N3", "DeepEP low-latency kernels", [](const Table& table) { return !several_nodes(table); });
}
TableKind deepep_ll_nodes_kind() {
  return low_latency("N2", "DeepEP low-latency kernels, several nodes", several_nodes);
}

}  // namespace moesim::validation
