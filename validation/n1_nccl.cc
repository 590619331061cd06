// N1: op, dtype, num_gpus, bytes, latency_us.
#include <array>

#include "sim/engine/engine.h"
#include "sim/lowering/nccl.h"
#include "validation/kinds.h"

namespace moesim::validation {
namespace {

using calibration::Table;
using lowering::NcclOp;

base::Duration simulate(const lowering::NcclCall& call, const System& on, const ClusterView& cluster,
                        const profile::KernelParameters& parameters) {
  engine::TaskGraph graph;
  lowering::Network network(graph, *cluster.router);
  const engine::ExchangeEvents last = lowering::nccl_lower(network, call, on.profile(), parameters);
  const results::Timeline timeline = engine::make_engine(engine::default_engine())->run(graph);
  return timeline.event[last.all_done().index()];
}

Samples read(const Table& table, const System& system) {
  Samples result;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    lowering::NcclCall call;
    const std::size_t op =
        table.one_of(row, "op", {"all_gather", "reduce_scatter", "all_reduce", "alltoall", "all_to_all"});
    constexpr std::array kOps{NcclOp::AllGather, NcclOp::ReduceScatter, NcclOp::AllReduce, NcclOp::AllToAll,
                              NcclOp::AllToAll};
    call.op = kOps[op];
    call.name = table.text(row, "op");
    call.ranks = static_cast<std::int32_t>(table.integer(row, "num_gpus", 2));
    call.bytes = base::Bytes(static_cast<double>(table.integer(row, "bytes", 1)));
    call.floating = table.text(row, "dtype").find("int") == std::string::npos;
    const std::shared_ptr<const ClusterView> cluster = system.cluster(call.ranks);
    Sample sample;
    sample.row = row;
    sample.measured_us = table.time_us(row, "latency_us");
    sample.kernel =
        lowering::nccl_kernel(call.op, lowering::nccl_fabric(*cluster->router, system.profile().family, call.ranks));
    sample.group = call.name + ", " + std::to_string(call.ranks) + " GPUs";
    sample.size = call.bytes.value();
    sample.size_unit = "B";
    sample.error_class = call.bytes.value() <= 65536 ? "small" : "";
    sample.predict = [call](const System& on, const profile::KernelParameters& parameters) {
      return Estimate{simulate(call, on, *on.cluster(call.ranks), parameters), 0, 0};
    };
    result.samples.push_back(std::move(sample));
  }
  return result;
}

}  // namespace

TableKind nccl_kind() {
  TableKind kind;
  kind.name = "N1";
  kind.title = "NCCL collectives";
  kind.columns = {"op", "dtype", "num_gpus", "bytes", "latency_us"};
  kind.time_columns = {"latency_us"};
  const auto models = lowering::nccl_kernels();
  kind.kernels.assign(models.begin(), models.end());
  kind.read = read;
  kind.splits = {
      {"2 and 4 GPUs, 8 held out (2, 4 held out, where 4 is the most)", Split::By::Shape,
       [](const System&, const Table& t, std::size_t row) {
         std::int64_t most = 0;
         for (std::size_t r = 0; r < t.rows(); ++r) most = std::max(most, t.integer(r, "num_gpus"));
         if (most == 2) return Part::Fit;
         return t.integer(row, "num_gpus") < most ? Part::Fit : Part::Test;
       }},
      {"up to 4 MB, larger held out", Split::By::Size,
       [](const System&, const Table& t, std::size_t row) {
         return t.integer(row, "bytes") <= 4194304 ? Part::Fit : Part::Test;
       }},
  };
  kind.goals = {
      {"NVLink, above 64 KB", 0.04, 0.12,
       [](std::string_view kernel, std::string_view size) { return kernel != "nccl_pcie" && size.empty(); }},
      {"NVLink, up to 64 KB", 0, 0,
       [](std::string_view kernel, std::string_view size) { return kernel != "nccl_pcie" && !size.empty(); }},
      {"PCIe", 0.20, 0.40, [](std::string_view kernel, std::string_view) { return kernel == "nccl_pcie"; }},
  };
  kind.limits =
      "Start-up differs between hosts and does not follow from a datasheet: a new family needs one measured launch. Up "
      "to 64 KB two runs of the same message differ by up to 15 % (H100 all-to-all: 7 or 17 us at random). At a switch "
      "of protocols a few per cent in NCCL's own constants move a jump of 50 %. Two GPUs below one PCIe switch do not "
      "show "
      "the link to the CPU that four share, so that a fit without four GPUs cannot know its share. Fitted to messages "
      "up "
      "to 4 MB only, the share of Blackwell's links stays near its prior: larger ones come out 8 to 16 % too slow.";
  return kind;
}

}  // namespace moesim::validation
