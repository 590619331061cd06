// M1: moe_kernel, tokens, hidden, experts, topk, latency_us: bf16 rows, inputs not in L2.
#include "sim/lowering/moe_kernels.h"
#include "validation/kinds.h"

namespace moesim::validation {
namespace {

using calibration::Table;

Samples read(const Table& table, const System& system) {
  (void)system;
  Samples result;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    constexpr std::array<std::string_view, 2> kKernels{"permute", "unpermute_reduce"};
    const std::size_t which = table.one_of(row, "moe_kernel", {kKernels[0], kKernels[1]});
    lowering::TokenShape shape;
    shape.tokens = table.integer(row, "tokens", 1);
    shape.hidden = table.integer(row, "hidden", 1);
    shape.experts = table.integer(row, "experts", 1);
    shape.topk = table.integer(row, "topk", 1);
    Sample sample;
    sample.row = row;
    sample.measured_us = table.time_us(row, "latency_us");
    sample.kernel = kKernels[which];
    sample.group = kKernels[which];
    sample.size = static_cast<double>(shape.tokens);
    sample.size_unit = "tokens";
    sample.predict = [shape, which](const System& on, const profile::KernelParameters& parameters) {
      const auto cost = which == 0 ? lowering::permute_cost(shape, on.profile(), parameters)
                                   : lowering::unpermute_reduce_cost(shape, on.profile(), parameters);
      return Estimate{cost.total, 0, 0};
    };
    result.samples.push_back(std::move(sample));
  }
  return result;
}

}  // namespace

TableKind moe_kernels_kind() {
  TableKind kind;
  kind.name = "M1";
  kind.title = "permute and unpermute-reduce";
  kind.columns = {"moe_kernel", "tokens", "hidden", "experts", "topk", "latency_us"};
  kind.time_columns = {"latency_us"};
  for (const profile::KernelModel& model : lowering::moe_kernels())
    if (model.name == "permute" || model.name == "unpermute_reduce") kind.kernels.push_back(model);
  kind.read = read;
  kind.splits = {
      {"up to 512 tokens, more held out", Split::By::Size, [](const System&, const Table& t, std::size_t row) {
         return t.integer(row, "tokens") <= 512 ? Part::Fit : Part::Test;
       }}};
  kind.limits = "No table of a GPU is at hand: `calibrate measure` makes one.";
  return kind;
}

}  // namespace moesim::validation
