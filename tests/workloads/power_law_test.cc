// Routings of kernel benchmarks.
#include "workloads/power_law.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <doctest/doctest.h>

namespace moesim::workloads {
namespace {

std::int64_t sum(std::span<const std::int64_t> counts) {
  return std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
}

}  // namespace

TEST_CASE("a power-law draw hands out every selection and no expert gets a token twice") {
  for (const double exponent : {0.6, 1.0, 1.01, 1.2}) {
    for (const std::int64_t tokens : {0, 1, 2, 5, 16, 31, 32, 33, 500, 16384}) {
      for (const auto& shape : {std::pair{8, 256}, {2, 8}, {1, 1}, {8, 8}, {6, 384}}) {
        const std::int32_t top_k = shape.first, experts = shape.second;
        CAPTURE(exponent);
        CAPTURE(tokens);
        CAPTURE(experts);
        base::RandomStream stream(7, "test");
        const auto counts = draw_power_law({exponent, tokens, top_k, experts}, stream);
        CHECK(counts.size() == static_cast<std::size_t>(experts));
        CHECK(sum(counts) == tokens * top_k);
        CHECK(*std::min_element(counts.begin(), counts.end()) >= 0);
        CHECK(*std::max_element(counts.begin(), counts.end()) <= tokens);
      }
    }
  }
}

TEST_CASE("the weights of a power law with exponent 1 are uniform in their logarithm") {
  // Of ln x uniform between ln a and ln b, the share above x is ln(b/x) / ln(b/a); counts are weights times one scale.
  constexpr std::int64_t kTokens = 100000;
  constexpr int kExperts = 4000;
  base::RandomStream stream(3, "test");
  const auto counts = draw_power_law({1, kTokens, 1, kExperts}, stream);
  const double range = std::log(0.8 * kTokens);
  const double mean_weight = (0.8 * kTokens - 1) / range;
  const double scale = static_cast<double>(kTokens) / kExperts / mean_weight;
  for (const double weight : {5000.0, 20000.0, 60000.0}) {
    const auto above = static_cast<double>(std::count_if(
        counts.begin(), counts.end(), [&](std::int64_t c) { return static_cast<double>(c) > weight * scale; }));
    const double expected = kExperts * std::log(0.8 * kTokens / weight) / range;
    CAPTURE(weight);
    // Four standard deviations of the count, and 3 % for the scale, itself a mean of the draws.
    CHECK(std::abs(above - expected) < 4 * std::sqrt(expected) + 0.03 * kExperts / range);
  }
}

TEST_CASE("of few tokens what rounding leaves goes to experts without any") {
  // 8 tokens of 8 choices among 256: no weight reaches more than 64 * 2 / (256 * mean) = 1.33 selections, so that with
  // the left-over on empty experts all 64 selections hit different ones.
  for (std::uint64_t draw = 0; draw < 20; ++draw) {
    base::RandomStream stream(1, "test", draw);
    const auto counts = draw_power_law({1.01, 8, 8, 256}, stream);
    CHECK(std::count_if(counts.begin(), counts.end(), [](std::int64_t c) { return c > 0; }) >= 60);
  }
}

TEST_CASE("a larger exponent loads the fullest of 32 ranks more, on average over draws") {
  double last = 1;
  for (const double exponent : {0.6, 0.8, 1.01, 1.2}) {
    double mean = 0;
    for (std::uint64_t draw = 0; draw < 64; ++draw) {
      base::RandomStream stream(1, "test", draw);
      const auto counts = draw_power_law({exponent, 4096, 8, 256}, stream);
      mean += static_cast<double>(sum(most_loaded_rank(counts, 32))) / (4096.0 * 8 / 32) / 64;
    }
    CAPTURE(exponent);
    CHECK(mean > last);
    last = mean;
  }
}

TEST_CASE("even selections differ by at most one and hit as many experts as they can") {
  for (std::int64_t tokens = 0; tokens < 200; ++tokens) {
    for (const auto& shape : {std::pair{8, 256}, {2, 8}, {8, 8}}) {
      const std::int32_t top_k = shape.first, experts = shape.second;
      const auto counts = even_selections(tokens, top_k, experts);
      CAPTURE(tokens);
      CAPTURE(experts);
      CHECK(sum(counts) == tokens * top_k);
      const auto [least, most] = std::minmax_element(counts.begin(), counts.end());
      CHECK(*most - *least <= 1);
      const auto hit = std::count_if(counts.begin(), counts.end(), [](std::int64_t c) { return c > 0; });
      CHECK(hit == std::min<std::int64_t>(experts, tokens * top_k));
    }
  }
}

TEST_CASE("more tokens, evenly dealt, never take one from an expert of the fullest rank") {
  for (const std::int32_t ranks : {1, 2, 8, 64, 256}) {
    std::int64_t selections = 0, hit = 0;
    for (std::int64_t tokens = 1; tokens < 300; ++tokens) {
      const auto counts = even_selections(tokens, 8, 256);
      const auto rank = most_loaded_rank(counts, ranks);
      const auto hits = std::count_if(rank.begin(), rank.end(), [](std::int64_t c) { return c > 0; });
      CHECK(sum(rank) >= selections);
      CHECK(hits >= hit);
      selections = sum(rank);
      hit = hits;
    }
  }
}

TEST_CASE("the most loaded rank is the first with most selections") {
  const std::vector<std::int64_t> counts{1, 2, 4, 0, 0, 4};
  const auto rank = most_loaded_rank(counts, 3);
  CHECK(rank.data() == counts.data() + 2);
  CHECK(rank.size() == 2);
  CHECK(most_loaded_rank(counts, 1).size() == 6);
}

}  // namespace moesim::workloads
