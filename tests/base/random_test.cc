#include "base/random.h"

#include <array>
#include <cmath>
#include <cstdint>
#include <set>
#include <vector>

#include <doctest/doctest.h>

#include "base/error.h"
#include "base/statistics.h"

namespace moesim::base {
namespace {

// Expected values in this file come from a separate program written from the published algorithms (splitmix64 and
// xoshiro256** checked against their authors' reference outputs).

TEST_CASE("streams give the published generators' values on every machine") {
  const auto first = [](std::uint64_t seed, std::string_view name, std::uint64_t index) {
    RandomStream stream(seed, name, index);
    return std::array{stream.next(), stream.next(), stream.next()};
  };
  using Three = std::array<std::uint64_t, 3>;
  CHECK(first(1, "routing", 0) == Three{0xd38bfc80dcbbd22d, 0x915bc5ba5fb71063, 0x72a4ecc31ae71dc9});
  CHECK(first(1, "routing", 1) == Three{0x20b5170173a0281, 0x1fc2e4ae47610323, 0x9876fbb2c5035e58});
  CHECK(first(2, "routing", 0) == Three{0x758f2167944b5f8e, 0xc8fa66e729f651f6, 0xd9f62a3f344b9d9e});
  CHECK(first(1, "draws", 0) == Three{0x8b5f7ae99b39b19d, 0xd255f82652c1ffc2, 0x6ff9effaf6211c9a});
  CHECK(first(0, "", 0) == Three{0xfb5405f7bd79c540, 0x780c98e26cea5883, 0x2a146e0980febc66});
}

TEST_CASE("uniform, bounded and normal draws are the same on every machine") {
  RandomStream uniform(1, "routing");
  for (const double expected : {0.8263547720532494, 0.5678065853132603, 0.4478290535288604})
    CHECK(uniform.uniform() == expected);
  RandomStream bounded(1, "routing");
  for (const std::uint64_t expected : {211, 145, 114, 23, 253, 80, 90, 118}) CHECK(bounded.below(256) == expected);
  // The separate program decides by the exact region, without the quick bounds.
  RandomStream normal(1, "routing");
  for (const double expected : {0.6699232633050095, -1.273832114377059, -0.09382032087938534, -0.7519704092618357,
                                0.9580921318461582, -0.17471623663335273})
    CHECK(normal.normal() == expected);
}

TEST_CASE("uniform draws fill [0, 1) evenly") {
  RandomStream stream(3, "uniform");
  const int draws = 100000, bins = 20;
  std::vector<double> count(bins);
  double sum = 0;
  for (int i = 0; i < draws; ++i) {
    const double u = stream.uniform();
    REQUIRE(u >= 0);
    REQUIRE(u < 1);
    sum += u;
    ++count[static_cast<std::size_t>(u * bins)];
  }
  CHECK(sum / draws == doctest::Approx(0.5).epsilon(5 * std::sqrt(1.0 / 12 / draws) / 0.5));  // five sigma
  double chi_squared = 0;
  const double expected = static_cast<double>(draws) / bins;
  for (const double n : count) chi_squared += (n - expected) * (n - expected) / expected;
  CHECK(chi_squared < bins - 1 + 5 * std::sqrt(2.0 * (bins - 1)));
}

TEST_CASE("bounded draws reach every value below the bound and none above") {
  RandomStream stream(4, "below");
  for (const std::uint64_t bound : {1, 2, 3, 7, 256}) {
    std::set<std::uint64_t> seen;
    for (int i = 0; i < 5000; ++i) seen.insert(stream.below(bound));
    CHECK(seen.size() == bound);
    CHECK(*seen.rbegin() == bound - 1);
  }
  // Four generator values fall on three results here: without rejection every third would come up twice as often.
  const std::uint64_t bound = std::uint64_t{3} << 62;
  int thirds = 0;
  for (int i = 0; i < 9000; ++i) {
    const std::uint64_t draw = stream.below(bound);
    REQUIRE(draw < bound);
    thirds += draw % 3 == 0 ? 1 : 0;
  }
  CHECK(std::abs(thirds - 3000) < 5 * std::sqrt(9000 * 2.0 / 9));
}

TEST_CASE("normal draws have the moments and tails of the normal distribution") {
  RandomStream stream(5, "normal");
  const int draws = 200000;
  double sum = 0, squares = 0, fourth = 0;
  int beyond_two = 0;
  for (int i = 0; i < draws; ++i) {
    const double x = stream.normal();
    sum += x, squares += x * x, fourth += x * x * x * x;
    beyond_two += std::abs(x) > 2 ? 1 : 0;
  }
  const double n = draws;
  CHECK(std::abs(sum / n) < 5 / std::sqrt(n));
  CHECK(std::abs(squares / n - 1) < 5 * std::sqrt(2 / n));
  CHECK(std::abs(fourth / n - 3) < 5 * std::sqrt(96 / n));  // E[x^8] - E[x^4]^2 = 105 - 9
  const double tail = std::erfc(2 / std::sqrt(2.0));
  CHECK(std::abs(beyond_two / n - tail) < 5 * std::sqrt(tail * (1 - tail) / n));
}

TEST_CASE("streams that differ in seed, name or index are independent") {
  const std::vector<RandomStream> streams{RandomStream(1, "a"), RandomStream(2, "a"), RandomStream(1, "b"),
                                          RandomStream(1, "a", 1), RandomStream(1, "ab")};
  const int draws = 20000;
  std::vector<std::vector<double>> drawn;
  for (RandomStream stream : streams) {
    auto& values = drawn.emplace_back();
    for (int i = 0; i < draws; ++i) values.push_back(stream.uniform() - 0.5);
  }
  for (std::size_t a = 0; a < drawn.size(); ++a) {
    for (std::size_t b = a + 1; b < drawn.size(); ++b) {
      double product = 0;
      for (int i = 0; i < draws; ++i)
        product += drawn[a][static_cast<std::size_t>(i)] * drawn[b][static_cast<std::size_t>(i)];
      CHECK(std::abs(product * 12 / draws) < 5 / std::sqrt(draws));  // correlation, five sigma
    }
  }
}

TEST_CASE("a stream of the same seed, name and index is the same") {
  RandomStream a(9, "x", 3), b(9, "x", 3);
  for (int i = 0; i < 100; ++i) CHECK(a.next() == b.next());
}

TEST_CASE("a weighted choice draws each index in proportion to its weight") {
  const std::vector<double> weights{1, 0, 5, 0.5, 2.5, 1e-30};
  const WeightedChoice choice(weights);
  RandomStream stream(6, "choice");
  const int draws = 200000;
  std::vector<double> count(weights.size());
  for (int i = 0; i < draws; ++i) ++count[choice.draw(stream)];
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double share = weights[i] / 9;
    CAPTURE(i);
    CHECK(std::abs(count[i] / draws - share) <= 5 * std::sqrt(share * (1 - share) / draws));
  }
  CHECK(count[1] == 0);
  CHECK(count[5] == 0);
}

TEST_CASE("last-bit differences of the weights change no draw") {
  std::vector<double> weights, nearly;
  for (int i = 1; i <= 256; ++i) {
    weights.push_back(std::pow(i, -0.7));
    nearly.push_back(std::nextafter(weights.back(), i % 2 == 0 ? 0.0 : 1.0));
  }
  const WeightedChoice a(weights), b(nearly);
  RandomStream of_a(7, "choice"), of_b(7, "choice");
  for (int i = 0; i < 20000; ++i) CHECK(a.draw(of_a) == b.draw(of_b));
}

TEST_CASE("one weight is always drawn") {
  const WeightedChoice choice(std::vector<double>{3});
  RandomStream stream(8, "choice");
  for (int i = 0; i < 10; ++i) CHECK(choice.draw(stream) == 0);
}

TEST_CASE("weights that are negative, all zero or not finite are a programmer's error") {
  using Weights = std::vector<double>;
  CHECK_THROWS_AS(WeightedChoice(Weights{1, -1}), InternalError);
  CHECK_THROWS_AS(WeightedChoice(Weights{0, 0}), InternalError);
  CHECK_THROWS_AS(WeightedChoice(Weights{}), InternalError);
  CHECK_THROWS_AS(WeightedChoice(Weights{1, std::nan("")}), InternalError);
  CHECK_THROWS_AS(WeightedChoice(Weights{1e308, 1e308}), InternalError);
}

}  // namespace
}  // namespace moesim::base
