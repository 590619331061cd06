#include "sim/step/sharing.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "sim/engine/engine.h"
#include "sim/scenario.h"

namespace moesim::step {
namespace {

using base::Duration;

topology::Cluster three_gpus() {
  const auto document =
      base::parse_json(R"({"star": {"gpus": 3, "gpu": "ideal", "bandwidth": "1 GB/s", "latency": "0 us"}})", "star");
  return topology::read_cluster(base::JsonNode(document));
}

// GPU 0 sends 1 MB to GPU 1 in the dispatch and `combine` bytes to GPU 2 in the combine, over one link out of it.
struct Sends {
  explicit Sends(double combine) : step(cluster, profile, router) {
    send("dispatch", 1, 1e6);
    send("combine", 2, combine);
    timeline = engine::make_engine("fluid")->run(step.graph());
  }
  void send(const std::string& phase, std::int32_t receiver, double bytes) {
    step.begin(phase);
    engine::Exchange exchange{phase, 3, {}, {}, {}};
    exchange.flows.push_back({step.network().path(0, receiver), 0, receiver, bytes});
    step.graph().add_exchange(std::move(exchange));
  }
  engine::ResourceId link(std::size_t exchange, std::size_t hop) const {
    return step.graph().path_uses(step.graph().exchanges()[exchange].flows[0].path)[hop].resource;
  }

  topology::Cluster cluster = three_gpus();
  topology::Router router{cluster};
  profile::Profile profile = profile::profile_preset("ideal");
  StepGraph step;
  results::Timeline timeline;
};

bool is_noted(const results::Result& result) {
  return std::find(result.assumptions.begin(), result.assumptions.end(), kSharingNote) != result.assumptions.end();
}

}  // namespace

TEST_CASE("who else had a link is said from 2 % of it on, while the time asked for overlaps") {
  const Sends sends(5e5);  // both at half the rate: the combine ends after 1 ms, the dispatch after 1.5 ms
  const Sharing sharing(sends.step, sends.timeline);
  const Duration end = sends.timeline.makespan;
  CHECK(end.value() == doctest::Approx(1.5e-3));
  CHECK(sharing.others(0, sends.link(0, 0), Duration(0), end) == "combine");
  CHECK(sharing.others(1, sends.link(1, 0), Duration(0), end) == "dispatch");
  CHECK(sharing.others(0, sends.link(0, 1), Duration(0), end).empty());  // into GPU 1: the dispatch alone
  CHECK(sharing.others(0, sends.link(0, 0), Duration(1e-3), end).empty());
  const Sends little(1e4);
  CHECK(Sharing(little.step, little.timeline)
            .others(0, little.link(0, 0), Duration(0), little.timeline.makespan)
            .empty());
}

TEST_CASE("early results that slow the tokens of the busiest GPU are named, and what that may do is noted") {
  const auto result = sim::run(sim::load_scenario("examples/40-leaf-spine.json", {}));
  CHECK(result.critical_path.front().phase == "dispatch");
  CHECK(result.critical_path.front().binding.shared == "combine");
  CHECK(is_noted(result));
  // Nothing meets where all GPUs have the same to do at the same time.
  const auto even = sim::run(sim::load_scenario("examples/40-leaf-spine.json", {R"(routing={"preset": "balanced"})"}));
  for (const results::CriticalStep& step : even.critical_path) CHECK(step.binding.shared.empty());
  CHECK_FALSE(is_noted(even));
}

}  // namespace moesim::step
