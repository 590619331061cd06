#include "base/statistics.h"

#include <cmath>
#include <vector>

#include <doctest/doctest.h>

#include "base/error.h"

namespace moesim::base {
namespace {

using Samples = std::vector<double>;

TEST_CASE("mean and maximum of samples, and of none") {
  CHECK(mean(Samples{1, 2, 6}) == 3);
  CHECK(maximum(Samples{-3, -1, -2}) == -1);
  CHECK(mean(Samples{}) == 0);
  CHECK(maximum(Samples{}) == 0);
}

TEST_CASE("imbalance is the largest load over the mean") {
  CHECK(imbalance(Samples{2, 2, 2}) == 1);
  CHECK(imbalance(Samples{0, 0, 6}) == 3);
  CHECK(imbalance(Samples{1, 3}) == 1.5);
  CHECK(imbalance(Samples{0, 0}) == 1);
  CHECK(imbalance(Samples{}) == 1);
}

TEST_CASE("quantiles interpolate between order statistics") {
  const Samples samples{40, 10, 30, 20};
  CHECK(quantile(samples, 0) == 10);
  CHECK(quantile(samples, 1) == 40);
  CHECK(quantile(samples, 0.5) == 25);
  CHECK(quantile(samples, 1.0 / 3) == doctest::Approx(20));
  CHECK(quantile(samples, 0.25) == doctest::Approx(17.5));
  CHECK(quantile(Samples{7}, 0.99) == 7);
  CHECK_THROWS_AS(quantile(Samples{}, 0.5), InternalError);
  CHECK_THROWS_AS(quantile(samples, 1.5), InternalError);
}

TEST_CASE("the log-log slope of a power law is its exponent, whatever its factor") {
  Samples x, y;
  for (int i = 1; i <= 100; ++i) {
    x.push_back(i);
    y.push_back(17 * std::pow(i, -0.8));
  }
  CHECK(log_log_slope(x, y) == doctest::Approx(-0.8));
  x.push_back(200), y.push_back(0);  // has no logarithm: left out
  CHECK(log_log_slope(x, y) == doctest::Approx(-0.8));
}

TEST_CASE("a log-log slope needs two different points") {
  CHECK_THROWS_AS(log_log_slope(Samples{1}, Samples{1}), InternalError);
  CHECK_THROWS_AS(log_log_slope(Samples{2, 2}, Samples{1, 3}), InternalError);
  CHECK_THROWS_AS(log_log_slope(Samples{1, 2}, Samples{1}), InternalError);
}

}  // namespace
}  // namespace moesim::base
