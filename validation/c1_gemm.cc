// C1: dtype, m, n, k, latency_us; perhaps l2, "cold" where the L2 cache was overwritten before each product.
#include <cstdint>

#include "sim/lowering/gemm.h"
#include "validation/formats.h"
#include "validation/kinds.h"

namespace moesim::validation {
namespace {

using calibration::Table;

// The tables were timed in a loop over a few copies of the weights, so that small ones are still in L2: rows stop being
// faster than HBM where six times the weights and once the activations outgrow it (5 to 8 on H100 and B200).
constexpr double kWeightsInTurn = 6;

// Of a large table a quarter of the rows is fitted, spread over it by the golden ratio: shapes are a dense grid, so
// that neighbours say the same. All are scored.
double weight_of(std::size_t row, std::size_t rows) {
  constexpr std::size_t kLarge = 4096;
  constexpr std::uint32_t kGolden = 2654435769;  // 2^32 / golden ratio
  return rows < kLarge || (static_cast<std::uint32_t>(row) * kGolden) >> 30U == 0 ? 1 : 0;
}

Samples read(const Table& table, const System& system) {
  Samples result;
  const bool tells_cache = table.has("l2");
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const bool cold = tells_cache && table.one_of(row, "l2", {"warm", "cold"}) == 1;
    lowering::GemmShape shape{table.integer(row, "m", 1),
                              table.integer(row, "n", 1),
                              table.integer(row, "k", 1),
                              {},
                              cold ? 0 : kWeightsInTurn};
    const double measured = table.time_us(row, "latency_us");
    const std::string& format = table.text(row, "dtype");
    const auto dtype = format_named(format);
    if (!dtype) {
      result.skipped.push_back({row, "GEMM in " + format + " is not modelled"});
      continue;
    }
    if (!computes_in(system.profile(), *dtype)) {
      result.skipped.push_back({row, system.name() + " has no tensor cores for " + format});
      continue;
    }
    shape.dtype = *dtype;
    Sample sample;
    sample.row = row;
    sample.measured_us = measured;
    sample.weight = weight_of(row, table.rows());
    sample.kernel = lowering::gemm_kernel(*dtype);
    sample.group = format;
    sample.size = 2.0 * static_cast<double>(shape.m) * static_cast<double>(shape.n) * static_cast<double>(shape.k);
    sample.size_unit = "FLOP";
    sample.predict = [shape](const System& on, const profile::KernelParameters& parameters) {
      return Estimate{lowering::gemm_cost(shape, on.profile(), parameters).total, 0, 0};
    };
    result.samples.push_back(std::move(sample));
  }
  return result;
}

Part fit_if(bool fit) { return fit ? Part::Fit : Part::Test; }

}  // namespace

TableKind gemm_kind() {
  TableKind kind;
  kind.name = "C1";
  kind.title = "GEMM";
  kind.columns = {"dtype", "m", "n", "k", "latency_us"};
  kind.time_columns = {"latency_us"};
  const auto models = lowering::gemm_kernels();
  kind.kernels.assign(models.begin(), models.end());
  kind.read = read;
  kind.splits = {
      {"m <= 512, larger m held out", Split::By::Size,
       [](const System&, const Table& t, std::size_t row) { return fit_if(t.integer(row, "m") <= 512); }},
      {"n and k <= 4096, larger held out", Split::By::Size,
       [](const System&, const Table& t, std::size_t row) {
         return fit_if(t.integer(row, "n") <= 4096 && t.integer(row, "k") <= 4096);
       }},
      {"n or k of 768, 2560, 3584, 5120, 7168, 12288, 51200 held out", Split::By::Shape,
       [](const System&, const Table& t, std::size_t row) {
         const auto held_out = [](std::int64_t x) {
           return x == 768 || x == 2560 || x == 3584 || x == 5120 || x == 7168 || x == 12288 || x == 51200;
         };
         const int count = held_out(t.integer(row, "n")) + held_out(t.integer(row, "k"));
         return count == 0 ? Part::Fit : (count == 2 ? Part::Test : Part::Neither);
       }},
  };
  kind.goal_median = 0.04;
  kind.goal_p90 = 0.12;
  kind.limits =
      "The library's heuristic is not modelled: it does not always take the fastest of its tiles, which shows most "
      "where few tiles fill the SMs (512 to 1536 rows of A, p90 near 15 % on H100 bf16) and for 1 to 8 rows on B200 in "
      "bf16, where products of 1024 to 4096 columns and 512 to 3072 deep run in a kernel three times slower along k. "
      "Hopper's fp8_block kernel is up to twice slower when the rows of A fill no whole tile (32, 96, 129, 192, 1025), "
      "in proportion to k and to the SMs at work; here a partial tile costs as much as a full one, so that time never "
      "falls when work grows. Depths above 50,000 with large outputs in fp8_block and nvfp4 read more than the strips "
      "explain. Launch times differ between families by a third: for a family without a table they are what misses "
      "small products.";
  return kind;
}

}  // namespace moesim::validation
