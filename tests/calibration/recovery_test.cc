// From samples of known parameters, with noise, outliers and a switch of protocols, the fit gives the parameters back
// within its own intervals, as often as these say.
#include <array>
#include <cmath>

#include <doctest/doctest.h>

#include "base/random.h"
#include "calibration/fit.h"

namespace moesim::calibration {
namespace {

// A copy whose small messages take a protocol with a short start and half the rate, as NCCL's LL and Simple:
//   t = start + bytes / rate, with (2 us, 60 GB/s) up to 256 KiB and (9 us, 210 GB/s) above.
constexpr std::array<double, 4> kTruth{2, 60e3, 9, 210e3};  // us, bytes/us
constexpr double kSwitch = 262144;
constexpr std::size_t kSizes = 20, kRepeats = 6;

double bytes_of(std::size_t row) { return 1024 * std::pow(2.0, static_cast<double>(row % kSizes)); }

double time_us(std::span<const double> v, std::size_t row) {
  const double bytes = bytes_of(row);
  return bytes <= kSwitch ? v[0] + bytes / v[1] : v[2] + bytes / v[3];
}

struct Disturbance {
  double noise = 0;     // standard deviation of log(time)
  double outliers = 0;  // share of the samples that something else slowed by a factor of 1.5 to 4
};

std::vector<Measured> samples(const Disturbance& disturbance, std::uint64_t seed) {
  base::RandomStream stream(seed, "recovery"), slowed(seed, "outliers");
  std::vector<Measured> measured;
  for (std::size_t row = 0; row < kSizes * kRepeats; ++row) {
    double us = time_us(kTruth, row) * std::exp(disturbance.noise * stream.normal());
    if (slowed.uniform() < disturbance.outliers) us *= 1.5 + 2.5 * slowed.uniform();
    measured.push_back({us, 1});
  }
  return measured;
}

FitResult recover(const Disturbance& disturbance, std::uint64_t seed) {
  const std::vector<Unknown> unknowns{{"start below", 1, 0.01, 1000, 0, {}, false},
                                      {"rate below", 20e3, 1e2, 1e7, 0, {}, false},
                                      {"start above", 1, 0.01, 1000, 0, {}, false},
                                      {"rate above", 20e3, 1e2, 1e7, 0, {}, false}};
  const Predict predict = [](std::span<const double> v, std::span<const std::size_t> rows, std::span<double> out) {
    for (std::size_t i = 0; i < rows.size(); ++i) out[i] = time_us(v, rows[i]);
  };
  FitOptions options;
  options.threads = 1;
  options.scale = 0.02;  // as small as the noise: an outlier then pulls no more than a noisy sample
  return fit(unknowns, samples(disturbance, seed), predict, options);
}

}  // namespace

TEST_CASE("without disturbance the parameters of both protocols come back exactly") {
  const FitResult result = recover({}, 1);
  for (std::size_t k = 0; k < kTruth.size(); ++k)
    CHECK(result.values[k].value == doctest::Approx(kTruth[k]).epsilon(1e-4));
}

TEST_CASE("with noise and slow outliers 80 % intervals hold the truth in about 80 % of 200 seeds") {
  for (const Disturbance disturbance : {Disturbance{0.02, 0}, Disturbance{0.02, 0.03}}) {
    CAPTURE(disturbance.outliers);
    constexpr int kSeeds = 200;
    std::array<int, kTruth.size()> held{};
    int all = 0;
    for (int seed = 0; seed < kSeeds; ++seed) {
      const FitResult result = recover(disturbance, 1000 + static_cast<std::uint64_t>(seed));
      for (std::size_t k = 0; k < kTruth.size(); ++k) {
        const bool inside = result.values[k].lower <= kTruth[k] && kTruth[k] <= result.values[k].upper;
        held[k] += inside ? 1 : 0;
        all += inside ? 1 : 0;
      }
    }
    // Four standard deviations of a share of 0.8 among 200 independent seeds; the mean of all four parameters, which
    // are independent in pairs (below and above the switch), has to be nearer.
    const double slack = 4 * std::sqrt(0.8 * 0.2 / kSeeds);
    for (const int count : held) {
      const double share = static_cast<double>(count) / kSeeds;
      CHECK(share > 0.8 - slack);
      CHECK(share < 0.8 + slack);
    }
    const double mean = static_cast<double>(all) / (kSeeds * kTruth.size());
    MESSAGE("outliers ", disturbance.outliers, ": 80 % intervals held ", mean);
    CHECK(mean > 0.8 - slack / std::sqrt(2.0));
    CHECK(mean < 0.8 + slack / std::sqrt(2.0));
  }
}

TEST_CASE("slow outliers move the parameters by less than the intervals say") {
  const FitResult clean = recover({0.02, 0}, 7), dirty = recover({0.02, 0.03}, 7);
  for (std::size_t k = 0; k < kTruth.size(); ++k) {
    const double half_width = std::log(dirty.values[k].upper / dirty.values[k].lower) / 2;
    CHECK(half_width < 0.05);
    CHECK(std::abs(std::log(dirty.values[k].value / clean.values[k].value)) < half_width);
  }
}

}  // namespace moesim::calibration
