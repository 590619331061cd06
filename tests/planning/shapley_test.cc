#include "planning/shapley.h"

#include <cmath>
#include <numeric>

#include <doctest/doctest.h>

namespace moesim::planning {
namespace {

double sum(const std::vector<double>& parts) { return std::accumulate(parts.begin(), parts.end(), 0.0); }

// Factors that help and hinder each other: no order is like another.
double tangled(Subset set) {
  double value = 0;
  for (int i = 0; i < 9; ++i)
    if ((set >> i & 1) != 0) value += std::sin(i + 1.0) + ((set >> (i * 5 % 9)) & 1) * 0.7;
  return value + std::cos(0.001 * set) + ((set & 6) == 6 ? 3 : 0);
}

}  // namespace

TEST_CASE("parts add up to the whole, exact and sampled") {
  for (const Orders& orders : {Orders{}, draw_orders(9, 1, 7), draw_orders(9, 10, 7)}) {
    const Shapley result = shapley(9, orders, tangled);
    CHECK(result.whole == tangled(511) - tangled(0));
    CHECK(std::abs(sum(result.parts) - result.whole) < 1e-9);
  }
}

TEST_CASE("two factors share what they do only together") {
  const Shapley both = shapley(3, {}, [](Subset set) { return (set & 3) == 3 ? 1.0 : 0.0; });
  CHECK(both.parts[0] == doctest::Approx(0.5));
  CHECK(both.parts[1] == doctest::Approx(0.5));
  CHECK(std::abs(both.parts[2]) < 1e-12);
}

TEST_CASE("a whole that one factor makes is that factor's, in every order") {
  for (const Orders& orders : {Orders{}, draw_orders(4, 3, 1)}) {
    const Shapley one = shapley(4, orders, [](Subset set) { return (set & 4) != 0 ? 2.5 : 0.5; });
    CHECK(one.parts[2] == doctest::Approx(2));
    CHECK(std::abs(one.parts[0]) + std::abs(one.parts[1]) + std::abs(one.parts[3]) < 1e-12);
    CHECK(one.error[2] == doctest::Approx(0));
  }
}

TEST_CASE("drawn orders come near the exact parts, by their error, and repeat by seed") {
  const Shapley exact = shapley(9, {}, tangled);
  const Shapley drawn = shapley(9, draw_orders(9, 20, 3), tangled);
  for (std::size_t i = 0; i < 9; ++i) CHECK(std::abs(drawn.parts[i] - exact.parts[i]) < 5 * drawn.error[i] + 1e-9);
  CHECK(subsets_needed(9, draw_orders(9, 1, 3)).size() == 9 * 8 + 2);
  CHECK(draw_orders(9, 4, 3) == draw_orders(9, 4, 3));
  CHECK(draw_orders(9, 4, 3) != draw_orders(9, 4, 4));
  for (const Subset set : subsets_needed(9, draw_orders(9, 2, 3))) CHECK(set < 512);
  CHECK(subsets_needed(3, {}).size() == 8);
}

}  // namespace moesim::planning
