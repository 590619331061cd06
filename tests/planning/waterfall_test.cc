#include "planning/waterfall.h"

#include <cmath>

#include <doctest/doctest.h>

#include "base/error.h"
#include "base/file.h"
#include "tests/planning/inputs.h"

namespace moesim::planning {
namespace {

std::vector<Factor> factors() {
  return {{"network", "", "", {{{1}, {}, {{"slope", 0.0002}}}, {{}, {}, {{"slope", 0.0004}}}}},
          {"launch", "", "", {{{}, {}, {{"fixed", 0.004}}}}},
          {"memory", "", "", {{{}, {}, {{"memory", 800}}}}},
          {"nothing", "", "", {{{}, {}, base::Json::object()}}}};
}

WaterfallRequest request(std::vector<Factor> list) {
  WaterfallRequest request;
  request.baseline = {{"step", {{"batch", 1}}}, {"fixed", 0.01}, {"slope", 0.001}, {"memory", 60}};
  request.factors = std::move(list);
  request.target = hybrid(request.baseline, request.factors, (Subset{1} << request.factors.size()) - 1);
  request.users = {10, 20};
  request.run = formula_step;
  request.elasticities = false;
  return request;
}

}  // namespace

TEST_CASE("parts multiply to the speedup, drawn or exact, and repeat by seed on any number of threads") {
  for (const int circles : {0, 1, 3}) {
    WaterfallRequest in = request(factors());
    in.circles = circles;
    const results::Waterfall one = make_waterfall(in);
    in.threads = 3;
    const results::Waterfall again = make_waterfall(in);
    CHECK(one.warnings.empty());
    for (std::size_t p = 0; p < 2; ++p) {
      double sum = 0;
      for (const auto& part : one.points[p].parts) sum += part.log_part;
      CHECK(std::abs(sum - std::log(one.points[p].speedup.value)) < 1e-9);
      CHECK(one.points[p].parts[3].factor == 1);
      CHECK(one.points[p].parts[2].factor > 1);
      for (std::size_t i = 0; i < 4; ++i) CHECK(one.points[p].parts[i].log_part == again.points[p].parts[i].log_part);
    }
  }
}

TEST_CASE("parts keep the group of their factor") {
  std::vector<Factor> grouped = factors();
  grouped[1].group = "the host";
  const auto point = make_waterfall(request(grouped)).points[0];
  CHECK(point.parts[0].group.empty());
  CHECK(point.parts[1].group == "the host");
}

TEST_CASE("identical ends have a speedup of 1 and parts of nothing") {
  std::vector<Factor> none = factors();
  for (Factor& factor : none) factor.cases = {{{}, {}, base::Json::object()}};
  const results::Waterfall waterfall = make_waterfall(request(none));
  CHECK(waterfall.points[0].speedup.value == 1);
  CHECK(waterfall.points[0].speedup.high == 1);
  for (const auto& part : waterfall.points[0].parts) CHECK(part.log_part == 0);
}

TEST_CASE("ends that differ in one factor put everything on it") {
  std::vector<Factor> one = factors();
  for (const std::size_t i : {0U, 2U, 3U}) one[i].cases = {{{}, {}, base::Json::object()}};
  const results::Waterfall waterfall = make_waterfall(request(one));
  const auto& point = waterfall.points[1];
  CHECK(point.speedup.value > 1.1);
  CHECK(point.parts[1].factor == doctest::Approx(point.speedup.value).epsilon(1e-12));
  CHECK(point.parts[1].alone == doctest::Approx(point.parts[1].last));
  for (const std::size_t i : {0U, 2U, 3U}) CHECK(point.parts[i].log_part == 0);
}

TEST_CASE("a point that a hybrid cannot reach has no parts and names it; a target that is another is warned of") {
  WaterfallRequest in = request(factors());
  in.users = {95};
  CHECK(make_waterfall(in).points[0].unreachable.starts_with("the baseline: too slow"));
  in.users = {20};
  in.target["slope"] = 0.0001;
  CHECK(make_waterfall(in).warnings.size() == 1);
}

TEST_CASE("10 % more of a resource is a patch on the GPU or the links") {
  const base::Json scenario = {{"cluster", {{"preset", "hgx_h200"}, {"nodes", 2}}}};
  const auto more = with_more(scenario, 1.1);
  REQUIRE(more.size() == 6);
  const auto rate = [](const base::Json& value) { return base::parse_bandwidth(value.get<std::string>()).value(); };
  CHECK(rate(more[0].second["profile"]["override"]["hbm_bandwidth"]) == doctest::Approx(1.1 * 4.8e12));
  CHECK(rate(more[3].second["cluster"]["override"]["nvlink"]["link_bandwidth"]) == doctest::Approx(1.1 * 25e9));
  CHECK(rate(more[4].second["cluster"]["override"]["host"]["pcie"]["bandwidth"]) == doctest::Approx(1.1 * 64e9));
  CHECK(rate(more[5].second["cluster"]["scale_out"]["nic_bandwidth"]) == doctest::Approx(1.1 * 50e9));
  CHECK(with_more({{"cluster", {{"preset", "hgx_h200"}}}}, 1.1).size() == 4);  // one node has no use for NICs
  const auto pcie = with_more({{"cluster", {{"preset", "pcie_h100_8"}}}}, 1.1);
  CHECK(pcie.back().first == "PCIe bandwidth");
}

TEST_CASE("shipped waterfalls turn their baseline into their target") {
  for (const char* name : {"deepseek-r1", "kimi-k2", "mistral-large-3", "qwen3-235b"}) {
    CAPTURE(name);
    const WaterfallFile file = read_waterfall(base::load_json("examples/ten-x/" + std::string(name) + ".json"));
    const Subset every = (Subset{1} << file.factors.size()) - 1;
    const base::Json baseline = *base::load_json(file.baseline_path).root;
    const base::Json all = hybrid(baseline, file.factors, every);
    const base::Json target = *base::load_json(file.target_path).root;
    CHECK(all["cluster"]["preset"] == target["cluster"]["preset"]);
    CHECK(all["model"] == target["model"]);
    CHECK(all.value("placement", base::Json()) == target.value("placement", base::Json()));
    CHECK(all["step"] == target["step"]);
    // And it performs alike, which the baseline does not.
    const auto at_two = [&](base::Json scenario) {
      scenario["step"]["batch"] = 2;
      return run_step(file.baseline_path, scenario, 1);
    };
    const StepOutcome is = at_two(all), should = at_two(target);
    REQUIRE(is.ran());
    CHECK(is.gpus == should.gpus);
    CHECK(is.run.users == doctest::Approx(should.run.users).epsilon(1e-9));
    CHECK(is.run.largest_batch == should.run.largest_batch);
    CHECK(at_two(baseline).run.users < 0.99 * is.run.users);
  }
  CHECK_THROWS_AS(read_waterfall(base::load_json("examples/01-minimal.json")), base::InputError);
}

}  // namespace moesim::planning
