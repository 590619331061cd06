// The reference is held to closed forms in closed_form_test.cc and full_engine_test.cc; here its parts.
#include "tests/sim/engine/reference_engine.h"

#include <array>

#include <doctest/doctest.h>

#include "base/random.h"
#include "tests/sim/engine/small_graphs.h"

namespace moesim::tests {
namespace {

using engine::ResourceId;

constexpr ResourceId kA{std::uint32_t{0}}, kB{std::uint32_t{1}}, kC{std::uint32_t{2}};

TEST_CASE("Progressive filling gives the textbook max-min rates") {
  // One long flow over both links and a short one on each: the tighter link sets the long flow's rate.
  const std::vector<long double> capacity{10, 4};
  const std::vector<Mover> movers{{{{kA}, {kB}}}, {{{kA}}}, {{{kB}}}};
  const auto rates = progressive_filling(capacity, movers);
  CHECK(rates[0] == 4.0L / 2);
  CHECK(rates[1] == 10.0L - 4.0L / 2);
  CHECK(rates[2] == 4.0L / 2);
}

TEST_CASE("Progressive filling honours weights, caps, a resource named twice and a dead resource") {
  const std::vector<long double> capacity{12, 5, 0};
  const std::vector<Mover> movers{{{{kA, 2}}},    {{{kA}}, 1}, {{{kA, 0.5}, {kA, 0.5}}},
                                  {{{kB}, {kC}}}, {{{kB}}},    {{}, 7}};
  const auto rates = progressive_filling(capacity, movers);
  CHECK(rates[1] == 1);
  CHECK(rates[0] == (12.0L - 1) / 3);
  CHECK(rates[2] == (12.0L - 1) / 3);
  CHECK(rates[3] == 0);
  CHECK(rates[4] == 5);
  CHECK(rates[5] == 7);
}

TEST_CASE("The certificate accepts max-min rates and nothing else") {
  const std::vector<long double> capacity{10, 4};
  const std::vector<Mover> movers{{{{kA}, {kB}}}, {{{kA}}, 9}, {{{kB}}}};
  const auto verdict = [&](std::array<long double, 3> rates) {
    return max_min_violation(capacity, movers, rates, 1e-12L);
  };
  CHECK(verdict({2, 8, 2}) == "");
  CHECK(verdict({2, 7, 2}) == "mover 1 has no bottleneck");  // could rise
  CHECK(verdict({1, 9, 3}) == "mover 0 has no bottleneck");  // full, but another is faster on it
  CHECK(verdict({2, 8, 3}) == "resource 1 is above its capacity");
  CHECK(max_min_violation(capacity, std::vector<Mover>{{{{kA}}, 9}}, std::array{9.5L}, 1e-12L) ==
        "mover 0 is above its cap");
}

TEST_CASE("Rates of random movers pass the certificate, and lowering any of them fails it") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    base::RandomStream random(seed, "movers");
    std::vector<long double> capacity(1 + random.below(6));
    for (auto& c : capacity) c = 0.1L + random.uniform();
    std::vector<Mover> movers(1 + random.below(12));
    for (Mover& mover : movers) {
      for (std::uint64_t i = 1 + random.below(3); i > 0; --i)
        mover.uses.push_back(
            {ResourceId(static_cast<std::size_t>(random.below(capacity.size()))), 0.1 + random.uniform()});
      if (random.below(3) == 0) mover.cap = 0.2L * random.uniform();
    }
    auto rates = progressive_filling(capacity, movers);
    CHECK(max_min_violation(capacity, movers, rates, 1e-15L) == "");
    rates[random.below(rates.size())] *= 1 - 1e-6L;
    CHECK(max_min_violation(capacity, movers, rates, 1e-12L) != "");
  }
}

}  // namespace
}  // namespace moesim::tests
