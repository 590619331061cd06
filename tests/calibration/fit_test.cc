// The fitter on made-up data, where the truth is known.
#include "calibration/fit.h"

#include <cmath>

#include <doctest/doctest.h>

#include "base/random.h"

namespace moesim::calibration {
namespace {

// t = start + size / rate, at sizes 1, 2, 4, ...
constexpr double kStart = 3.0, kRate = 40.0;

double line(double start, double rate, std::size_t row) {
  return start + std::pow(2.0, static_cast<double>(row % 12)) / rate;
}

Predict line_predictor() {
  return [](std::span<const double> v, std::span<const std::size_t> rows, std::span<double> predicted) {
    for (std::size_t i = 0; i < rows.size(); ++i) predicted[i] = line(v[0], v[1], rows[i]);
  };
}

std::vector<Unknown> line_unknowns(double sigma = 0) {
  return {{"start", 1, 0.01, 100, sigma, {}, false}, {"rate", 10, 0.1, 10000, sigma, {}, false}};
}

std::vector<Measured> measure(double noise, std::uint64_t seed, std::size_t rows = 60) {
  base::RandomStream stream(seed, "fit test");
  std::vector<Measured> measured;
  for (std::size_t row = 0; row < rows; ++row)
    measured.push_back({line(kStart, kRate, row) * std::exp(noise * stream.normal()), 1});
  return measured;
}

}  // namespace

TEST_CASE("exact data give back the parameters that made them") {
  const FitResult result = fit(line_unknowns(), measure(0, 1), line_predictor());
  CHECK(result.converged);
  CHECK(result.values[0].value == doctest::Approx(kStart).epsilon(1e-5));
  CHECK(result.values[1].value == doctest::Approx(kRate).epsilon(1e-5));
  CHECK(result.cost < 1e-8);
}

TEST_CASE("one row in ten wrong by a factor of a hundred hardly moves the result") {
  auto measured = measure(0.02, 2);
  for (std::size_t row = 0; row < measured.size(); row += 10) measured[row].value *= 100;
  const FitResult result = fit(line_unknowns(), measured, line_predictor());
  CHECK(std::abs(std::log(result.values[0].value / kStart)) < 0.05);
  CHECK(std::abs(std::log(result.values[1].value / kRate)) < 0.05);
}

TEST_CASE("a row of weight 0 is scored but not fitted") {
  auto measured = measure(0, 3);
  measured[0] = {measured[0].value * 7, 0};
  const FitResult result = fit(line_unknowns(), measured, line_predictor());
  CHECK(result.values[0].value == doctest::Approx(kStart).epsilon(1e-5));
  CHECK(result.log_errors[0] == doctest::Approx(-std::log(7)).epsilon(1e-4));
}

TEST_CASE("rows without weight change nothing, also for an unknown that acts on some rows only") {
  const auto measured = measure(0.05, 4);
  auto unknowns = line_unknowns();
  const FitResult alone = fit(unknowns, measured, line_predictor());
  // The same rows, each followed by one of weight 0.
  std::vector<Measured> doubled;
  for (std::size_t row = 0; row < 2 * measured.size(); ++row) {
    doubled.push_back(measured[row / 2]);
    if (row % 2 == 1) doubled.back().weight = 0;
    for (Unknown& unknown : unknowns) unknown.rows.push_back(row);
  }
  const Predict predict = [](std::span<const double> v, std::span<const std::size_t> rows, std::span<double> out) {
    for (std::size_t i = 0; i < rows.size(); ++i) out[i] = line(v[0], v[1], rows[i] / 2);
  };
  const FitResult both = fit(unknowns, doubled, predict);
  for (std::size_t k = 0; k < unknowns.size(); ++k) CHECK(both.values[k].value == alone.values[k].value);
  for (std::size_t row = 0; row < doubled.size(); ++row) CHECK(both.log_errors[row] == alone.log_errors[row / 2]);
}

TEST_CASE("80 % confidence intervals hold the truth in about 80 % of seeds, whatever the noise") {
  for (const double noise : {0.01, 0.1}) {
    CAPTURE(noise);
    constexpr int kSeeds = 200;
    int held = 0;
    for (int seed = 0; seed < kSeeds; ++seed) {
      FitOptions options;
      options.threads = 1;
      const FitResult result =
          fit(line_unknowns(), measure(noise, 100 + static_cast<std::uint64_t>(seed)), line_predictor(), options);
      held += result.values[0].lower <= kStart && kStart <= result.values[0].upper ? 1 : 0;
      held += result.values[1].lower <= kRate && kRate <= result.values[1].upper ? 1 : 0;
    }
    const double share = held / (2.0 * kSeeds);
    // Four standard deviations of a share of 0.8 among 200 independent seeds.
    const double slack = 4 * std::sqrt(0.8 * 0.2 / kSeeds);
    CHECK(share > 0.8 - slack);
    CHECK(share < 0.8 + slack);
  }
}

TEST_CASE("a parameter that the predictor ignores is refused by name") {
  auto unknowns = line_unknowns();
  unknowns.push_back({"colour", 2, 1, 4, 0, {}, false});
  try {
    fit(unknowns, measure(0.01, 4), line_predictor());
    FAIL("not refused");
  } catch (const UnidentifiedError& error) {
    REQUIRE(error.names().size() == 1);
    CHECK(error.names()[0] == "colour");
    CHECK(std::string(error.what()).find("colour") != std::string::npos);
  }
}

TEST_CASE("two parameters of which only the product acts are both refused, and a tight prior on one helps") {
  const Predict product = [](std::span<const double> v, std::span<const std::size_t> rows, std::span<double> p) {
    for (std::size_t i = 0; i < rows.size(); ++i) p[i] = v[0] * v[1] * static_cast<double>(rows[i] + 1);
  };
  std::vector<Measured> measured;
  for (int row = 1; row <= 20; ++row) measured.push_back({6.0 * row, 1});
  std::vector<Unknown> unknowns{{"a", 1, 0.01, 100, 0, {}, false}, {"b", 1, 0.01, 100, 0, {}, false}};
  CHECK_THROWS_WITH_AS(fit(unknowns, measured, product), doctest::Contains("a, b"), UnidentifiedError);
  unknowns[0] = {"a", 2, 0.01, 100, 0, {}, true};
  CHECK(fit(unknowns, measured, product).values[1].value == doctest::Approx(3));
}

TEST_CASE("a prior decides alone where the data are silent, and is then not called identified") {
  auto unknowns = line_unknowns(0.5);
  unknowns.push_back({"colour", 2, 1, 4, 0.5, {}, false});
  FitOptions options;
  options.refuse = false;
  const FitResult result = fit(unknowns, measure(0.01, 5), line_predictor(), options);
  CHECK(result.values[0].identified);
  CHECK_FALSE(result.values[2].identified);
  CHECK(result.values[2].value == doctest::Approx(2).epsilon(1e-6));
  CHECK(result.values[2].log_sd == doctest::Approx(0.5).epsilon(1e-6));
}

TEST_CASE("values stay between their bounds and say when they lean on one") {
  auto unknowns = line_unknowns();
  unknowns[1].upper = 20;
  FitOptions options;
  options.refuse = false;
  const FitResult result = fit(unknowns, measure(0, 6), line_predictor(), options);
  CHECK(result.values[1].value <= 20);
  CHECK(result.values[1].value > 19);
  CHECK(result.values[1].at_bound);
  CHECK_FALSE(result.values[0].at_bound);
}

TEST_CASE("an unknown that acts on its own rows only is fitted as if on all") {
  auto unknowns = line_unknowns();
  const auto measured = measure(0.05, 7);
  const FitResult all = fit(unknowns, measured, line_predictor());
  for (Unknown& unknown : unknowns)
    for (std::size_t row = 0; row < measured.size(); ++row) unknown.rows.push_back(row);
  const FitResult listed = fit(unknowns, measured, line_predictor());
  CHECK(listed.values[0].value == all.values[0].value);
  CHECK(listed.values[1].value == all.values[1].value);
}

TEST_CASE("the result is the same to the last bit for any number of threads") {
  const auto measured = measure(0.05, 8, 5000);
  FitOptions one, four;
  one.threads = 1;
  four.threads = 4;
  const FitResult a = fit(line_unknowns(), measured, line_predictor(), one);
  const FitResult b = fit(line_unknowns(), measured, line_predictor(), four);
  for (std::size_t k = 0; k < a.values.size(); ++k) {
    CHECK(a.values[k].value == b.values[k].value);
    CHECK(a.values[k].log_sd == b.values[k].log_sd);
  }
}

TEST_CASE("times that are not positive and finite are refused") {
  for (const double wrong : {0.0, -1.0, std::nan(""), HUGE_VAL}) {
    auto measured = measure(0, 9);
    measured[3].value = wrong;
    CHECK_THROWS_AS(fit(line_unknowns(), measured, line_predictor()), base::InputError);
  }
}

TEST_CASE("residuals by size are grouped in order of size") {
  const std::vector<double> errors{0.4, -0.1, 0.1, -0.3}, sizes{8, 1, 2, 4};
  const auto bins = residuals_by_size(errors, sizes, 2);
  REQUIRE(bins.size() == 2);
  CHECK(bins[0].to == 2);
  CHECK(bins[0].median == doctest::Approx(0.1));
  CHECK(bins[0].bias == doctest::Approx(0));
  CHECK(bins[1].from == 4);
  CHECK(bins[1].bias == doctest::Approx(0.05));
}

}  // namespace moesim::calibration
