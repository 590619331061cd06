// C1: dtype, m, n, k, latency_us.
#include "sim/lowering/gemm.h"
#include "validation/formats.h"
#include "validation/kinds.h"

namespace moesim::validation {
namespace {

using calibration::Table;

Samples read(const Table& table, const System& system) {
  Samples result;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    lowering::GemmShape shape{table.integer(row, "m", 1), table.integer(row, "n", 1), table.integer(row, "k", 1), {}};
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
      "The zone of 129 to 1024 rows of A, where the library's choice among tile shapes matters most, has the largest "
      "errors; the clock that sinks under sustained power at the largest sizes is not modelled.";
  return kind;
}

}  // namespace moesim::validation
