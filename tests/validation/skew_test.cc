// The cost of skewed routing over even routing, apart from the cost itself.
#include "validation/skew.h"

#include <cmath>

#include <doctest/doctest.h>

#include "base/statistics.h"
#include "tests/reference_data.h"
#include "validation/calibrate.h"

namespace moesim::validation {

TEST_CASE(
    "a skewed row is compared with the even row of its shape, and its ratio's error is that of both predictions") {
  const auto table = calibration::Table::parse(
      "ep,dist,tokens_global,latency_us\n"
      "2,balanced,8,10\n2,pl1.01,8,20\n"  // too fast by 1.1, too slow by 1.2
      "2,pl0.8,16,30\n"                   // no even partner
      "4,uniform,8,5\n4,pl1.01,8,7\n",    // both too slow by 1.5
      "t.csv");
  const auto errors = skew_ratio_errors(
      table, {"latency_us"}, {{0, -std::log(1.1)}, {1, std::log(1.2)}, {2, 1}, {3, std::log(1.5)}, {4, std::log(1.5)}});
  REQUIRE(errors.size() == 2);
  CHECK(errors[0] == doctest::Approx(1.2 * 1.1 - 1));
  CHECK(errors[1] == doctest::Approx(0));
}

TEST_CASE("a table without a routing has no skew") {
  CHECK(skew_ratio_errors(calibration::Table::parse("m,latency_us\n1,2\n", "t.csv"), {"latency_us"}, {{0, 0}}).empty());
}

TEST_CASE("power-law over even routing is predicted within 10 % median in every measured table of experts") {
  for (const char* folder : {"measured/train/C2_moe_gemm", "measured/train/C3_wideep_moe"}) {
    const auto path = tests::reference_data(folder);
    if (!path) continue;
    for (const MeasuredTable& table : read_tables(*path)) {
      const auto scored = predict(table.samples.samples, table.system,
                                  [&](std::string_view kernel) { return table.system.profile().kernel(kernel); });
      std::vector<PredictedRow> rows;
      rows.reserve(scored.size());
      for (const ScoredSample& sample : scored)
        rows.push_back({sample.row, std::log(sample.predicted_us / sample.measured_us)});
      const auto errors = skew_ratio_errors(table.table, table.kind.time_columns, rows);
      CAPTURE(table.label);
      CHECK(errors.size() > 50);
      CHECK(base::quantile(errors, 0.5) < 0.1);
    }
  }
}

}  // namespace moesim::validation
