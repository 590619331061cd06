#include "planning/ratio.h"

#include <cmath>

#include <doctest/doctest.h>

#include "tests/planning/inputs.h"

namespace moesim::planning {
namespace {

RunsByOption runs(const char* kernel, double error, double slope = 0.001) {
  return {formula_runs({{"fixed", 0.0}, {"slope", slope}, {"kernel", kernel}, {"error", error}}, {1, 10, 100})};
}

double width(const results::Ratio& ratio) { return std::log(ratio.high / ratio.low); }

}  // namespace

TEST_CASE("what both sides share cancels in a ratio") {
  const Draws draws{400, 1};
  const results::Ratio same = ratio(runs("a", 0.2), runs("a", 0.2, 0.0005), 20, draws);
  const results::Ratio apart = ratio(runs("a", 0.2), runs("b", 0.2, 0.0005), 20, draws);
  const results::Ratio partly = ratio(runs("a", 0.2), runs("a", 0.1, 0.0005), 20, draws);
  CHECK(same.value == doctest::Approx(2));
  CHECK(width(same) < 1e-9);
  CHECK(width(apart) > 0.2);
  CHECK(width(partly) > 0.02);
  CHECK(width(partly) < width(apart));
}

TEST_CASE("independent errors add in squares") {
  // A step that is proportional to its batch: throughput at equal tokens/s/user goes with 1 / time.
  const results::Ratio apart = ratio(runs("a", 0.2), runs("b", 0.2), 20, {4000, 1});
  CHECK(width(apart) / 2 == doctest::Approx(std::sqrt(2.0) * std::log(1.2)).epsilon(0.1));
}

TEST_CASE("draws repeat by seed, and a side that cannot reach the point has no ratio") {
  const results::Ratio one = ratio(runs("a", 0.2), runs("b", 0.2), 20, {50, 1});
  const results::Ratio again = ratio(runs("a", 0.2), runs("b", 0.2), 20, {50, 1});
  const results::Ratio other = ratio(runs("a", 0.2), runs("b", 0.2), 20, {50, 2});
  CHECK(one.low == again.low);
  CHECK(one.low != other.low);
  CHECK(ratio(runs("a", 0.2), runs("b", 0.2), 5000, {50, 1}).value == 0);
}

}  // namespace moesim::planning
