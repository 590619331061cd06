#include "planning/operating_point.h"

#include <doctest/doctest.h>

#include "planning/curve.h"
#include "tests/planning/inputs.h"

namespace moesim::planning {

TEST_CASE("the best batch is the one whose step takes just as long as may be") {
  const auto runs = formula_runs({{"fixed", 0.01}, {"slope", 0.001}}, {1, 4, 16, 64});
  // 0.01 + 0.001 B = 1/25: B = 30.
  const auto point = operating_point(runs, 25);
  CHECK(point.reached());
  CHECK(point.batch == doctest::Approx(30));
  CHECK(point.per_gpu == doctest::Approx(30 * 25));
  CHECK_FALSE(point.memory_bound);
  // Beyond the last run its line is continued: 0.01 + 0.001 B = 1/10.
  CHECK(operating_point(runs, 10).batch == doctest::Approx(90));
}

TEST_CASE("what is out of reach says so and has no throughput") {
  const auto point = operating_point(formula_runs({{"fixed", 0.01}, {"slope", 0.001}}, {1, 4}), 100);
  CHECK_FALSE(point.reached());
  CHECK(point.per_gpu == 0);
  CHECK(point.unreachable.starts_with("too slow: 90.9"));
}

TEST_CASE("with the largest batch fast enough, memory binds") {
  const auto point = operating_point(formula_runs({{"memory", 8}}, {1, 8}), 20);
  CHECK(point.memory_bound);
  CHECK(point.batch == 8);
  CHECK(point.per_gpu == doctest::Approx(8 / 0.018));
}

TEST_CASE("a smaller batch that does better counts, so that asking for less interactivity never costs throughput") {
  auto runs = formula_runs({{"fixed", 0.01}, {"slope", 0.001}}, {1, 16, 20});
  runs[2].users = 10;  // a step of 0.1 s: 200 tokens/s, where the batch of 16 did 615
  const auto point = operating_point(runs, 12);
  CHECK(point.batch == 16);
  CHECK(point.per_gpu == doctest::Approx(16 / 0.026));
  CHECK(point.near.batch == 16);
  CHECK(operating_point(runs, 10).per_gpu == point.per_gpu);
  CHECK(operating_point(runs, 1 / 0.026).per_gpu == doctest::Approx(point.per_gpu));
  // Slowed down to below what is asked for it does not.
  CHECK(operating_point(runs, 12, {1, 4, 1}).per_gpu < 16 / 0.026);
}

TEST_CASE("the search comes to the formula's batch from any guess, in few runs") {
  for (const double guess : {1.0, 16.0, 900.0, 5000.0}) {
    CAPTURE(guess);
    int count = 0;
    std::vector<results::StepRun> runs;
    const StepFunction step = [&](const base::Json& scenario) {
      ++count;
      return formula_step(scenario);
    };
    const auto point = find_operating_point(step, {{"step", {{"batch", 1}}}, {"memory", 1000}}, 25, guess, runs);
    CHECK(point.batch == doctest::Approx(30));
    CHECK(count <= 4);
    REQUIRE(runs.size() == 3);  // whatever the guess
    CHECK(runs[1].batch == 27);
    CHECK(runs[2].batch == 33);
  }
  std::vector<results::StepRun> runs;
  const auto point = find_operating_point(formula_step, {{"step", {{"batch", 1}}}, {"memory", 0}}, 25, 4, runs);
  CHECK(point.unreachable == "does not fit");
}

TEST_CASE("a curve: identical clusters have a speedup of exactly 1 everywhere, options compete, bounds prune") {
  const base::Json plain = {{"step", {{"batch", 1}}}, {"memory", 500}};
  base::Json slower = plain;
  slower["slope"] = 0.004;
  CurveRequest request;
  request.users = {5, 20, 50, 80, 200};
  request.batches = 12;
  request.clusters = {{"one", {{"", plain}}, formula_step, {}},
                      {"same", {{"plain", plain}, {"slower", slower}}, formula_step, formula_step}};
  const results::CurveComparison curve = make_curve(request);
  for (std::size_t p = 0; p < 4; ++p) {
    CHECK(curve.speedup[1][p].value == 1);
    CHECK(curve.speedup[1][p].low == 1);
    CHECK(curve.speedup[1][p].high == 1);
    CHECK(curve.clusters[1].points[p].option == "plain");
  }
  CHECK(curve.speedup[1][4].value == 0);  // out of reach on both sides
  CHECK_FALSE(curve.clusters[0].points[4].reached());
  CHECK(curve.clusters[1].pruned > curve.clusters[0].pruned);
  CHECK(curve.clusters[0].points[0].per_gpu == doctest::Approx(190 * 5));  // 0.01 + 0.001 B = 1/5
}

TEST_CASE("batches rise geometrically from 1 to the largest") {
  CHECK(batch_grid(1, 20) == std::vector<std::int64_t>{1});
  CHECK(batch_grid(16, 5) == std::vector<std::int64_t>{1, 2, 4, 8, 16});
}

}  // namespace moesim::planning
