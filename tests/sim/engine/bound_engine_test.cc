#include "sim/engine/bound_engine.h"

#include <array>

#include <doctest/doctest.h>

#include "tests/sim/engine/random_graph.h"
#include "tests/sim/engine/reference_engine.h"

namespace moesim::engine {
namespace {

using doctest::Approx;

results::Timeline bound(const TaskGraph& graph) { return make_bound_engine({})->run(graph); }

}  // namespace

TEST_CASE(
    "the bound of an exchange is its busiest port's bytes over its rate, plus the latency, and is reached when ports "
    "are even") {
  constexpr std::int32_t n = 6;
  TaskGraph graph;
  std::vector<ResourceId> up, down;
  for (std::int32_t r = 0; r < n; ++r) {
    up.push_back(graph.add_resource({"up", ResourceKind::Link, 100, {}}));
    down.push_back(graph.add_resource({"down", ResourceKind::Link, 100, {}}));
  }
  Exchange exchange{"all-to-all", n, {}, {}, {}};
  for (std::int32_t s = 0; s < n; ++s) {
    for (std::int32_t r = 0; r < n; ++r) {
      if (s == r) continue;
      const std::array uses{Use{up[static_cast<std::size_t>(s)], 1}, Use{down[static_cast<std::size_t>(r)], 1}};
      exchange.flows.push_back({graph.add_path(uses, base::Duration(0.5)), s, r, 40});
    }
  }
  const auto events = graph.add_exchange(std::move(exchange));
  const auto timeline = bound(graph);
  CHECK(timeline.makespan.value() == Approx((n - 1) * 40 / 100.0 + 0.5));
  CHECK(timeline.event[events.sent(2).index()].value() == Approx((n - 1) * 40 / 100.0));
  CHECK(timeline.drained[0][0] == Approx(40 / 100.0));
}

TEST_CASE("no event of any schedule comes before its bound") {
  int strictly_below = 0;
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    CAPTURE(seed);
    const TaskGraph graph = tests::random_graph(seed, tests::mixed_options(seed, true));
    const auto exact = tests::make_reference_engine()->run(graph);
    const auto lower = bound(graph);
    for (std::size_t e = 0; e < graph.num_events(); ++e) {
      REQUIRE(lower.event[e].value() <= exact.event[e].value() * (1 + 1e-9) + 1e-12);
      strictly_below += lower.event[e].value() < exact.event[e].value() * (1 - 1e-6);
    }
  }
  CHECK(strictly_below > 0);
}

}  // namespace moesim::engine
