#include "planning/step_runner.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

namespace moesim::planning {

TEST_CASE("the first layers, scaled, take about as long as all of them, drafts included") {
  base::Json scenario = {{"schema", "moesim.scenario/1"},
                         {"cluster", {{"preset", "hgx_h200"}}},
                         {"model", {{"preset", "deepseek-v3"}, {"weights", "fp8_block"}}},
                         {"routing", {{"preset", "balanced"}}},
                         {"step", {{"scope", "model"}, {"phase", "decode"}, {"batch", 2}, {"kv_tokens", 1024}}},
                         {"communication", {{"kernel", "auto"}, {"dispatch", "fp8"}, {"combine", "bf16"}}}};
  for (const int drafts : {0, 3}) {
    CAPTURE(drafts);
    if (drafts > 0) scenario["step"]["speculative"] = {{"draft_tokens", drafts}, {"acceptance", 0.5}};
    const StepOutcome part = run_step("here", scenario, 4), all = run_step("here", scenario, 0);
    REQUIRE(part.ran());
    REQUIRE(all.ran());
    CHECK(part.run.users == doctest::Approx(all.run.users).epsilon(0.02));
    CHECK(part.run.largest_batch == all.run.largest_batch);
  }
}

}  // namespace moesim::planning
