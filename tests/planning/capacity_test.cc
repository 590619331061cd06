#include "planning/capacity.h"

#include <cmath>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

namespace moesim::planning {
namespace {

using base::Duration;

constexpr double kFixed = 0.01, kPerSequence = 0.001, kPerPrompt = 1e-6;

// A step of kFixed + kPerSequence B + kPerPrompt P seconds on "gpus" GPUs, for B sequences on them all and P prompt
// tokens; at most "memory" sequences and prompts.
StepOutcome serving_step(const base::Json& scenario) {
  const base::Json& step = scenario["step"];
  const auto batch = step["batch"].get<std::int64_t>();
  const std::int64_t prompts = step.value("prefill_tokens", 0), memory = scenario.value("memory", 1000);
  StepOutcome out;
  out.gpus = scenario.value("gpus", 1);
  out.cluster = "cluster of " + std::to_string(out.gpus);
  if (batch + (prompts > 0 ? 1 : 0) > memory) {
    out.refused = "does not fit";
    return out;
  }
  const double time = scenario.value("slower", 1.0) *
                      (kFixed + kPerSequence * static_cast<double>(batch) + kPerPrompt * static_cast<double>(prompts));
  out.run.batch = batch;
  out.run.largest_batch = memory;
  out.run.gpus = out.gpus;
  out.run.sequences_per_gpu = static_cast<double>(batch) / out.gpus;
  out.run.tokens_per_step = scenario.value("tokens_per_step", 1.0);
  out.run.users = out.run.tokens_per_step / time;
  out.run.parts = {{"all", 1, scenario.value("error", 0.0)}};
  return out;
}

CapacityRequest request_of(const base::Json& scenario, double requests_per_s, double tpot) {
  CapacityRequest request;
  request.kinds.push_back({"kind", {{"", scenario}}, serving_step, {}});
  request.shape = {1000, 100};
  request.requests_per_s = requests_per_s;
  request.per_token = Duration(tpot);
  request.batches = 40;
  return request;
}

// Mean time of a step: per sequence it carries 10 prompt tokens on average, however they are put into steps.
double mean_step(double batch) { return kFixed + (kPerSequence + 10 * kPerPrompt) * batch; }
double batch_within(double tpot) { return (tpot - kFixed) / (kPerSequence + 10 * kPerPrompt); }

}  // namespace

TEST_CASE("as many instances as the load takes at the batch whose output tokens are just fast enough") {
  constexpr double kTpot = 0.05;
  const double rate = batch_within(kTpot) / kTpot / 100;  // requests/s of an instance
  for (const double load : {0.5, 0.999, 1.001, 7.3}) {
    CAPTURE(load);
    const auto capacity = plan_capacity(request_of({{"gpus", 8}}, load * rate, kTpot));
    const results::CapacityChoice& choice = capacity.choices.front();
    CHECK(choice.unreachable.empty());
    CHECK(choice.batch == doctest::Approx(batch_within(kTpot)));
    CHECK(choice.requests_per_s == doctest::Approx(rate));
    CHECK(choice.per_token.value() == doctest::Approx(kTpot));
    CHECK(choice.instances == static_cast<std::int64_t>(std::ceil(load)));
    CHECK(choice.all_gpus() == 8 * choice.instances);
    CHECK(choice.load == doctest::Approx(load / std::ceil(load)));
    CHECK(choice.limit == "time per output token");
    CHECK(choice.cluster == "cluster of 8");
    CHECK(choice.low == choice.instances);  // nothing is unsure
    CHECK(choice.high == choice.instances);
  }
}

TEST_CASE("memory for the sequences and their prompts binds where it is small") {
  const auto capacity = plan_capacity(request_of({{"memory", 21}}, 1, 0.05));
  const results::CapacityChoice& choice = capacity.choices.front();
  CHECK(choice.limit == "memory");
  CHECK(choice.batch == 20);
  CHECK(choice.per_token.value() == doctest::Approx(mean_step(20)));
  CHECK(choice.requests_per_s == doctest::Approx(20 / mean_step(20) / 100));
}

TEST_CASE("drafts that are accepted bring more tokens and more prompts to a step") {
  const auto capacity = plan_capacity(request_of({{"tokens_per_step", 2}, {"memory", 21}}, 1, 0.05));
  const double step = kFixed + (kPerSequence + 2 * 10 * kPerPrompt) * 20;
  CHECK(capacity.choices.front().per_token.value() == doctest::Approx(step / 2));
}

TEST_CASE("the time to the first token binds where it is asked for") {
  CapacityRequest request = request_of({{"gpus", 8}}, 1, 0.05);
  // Steps with a prompt of 1000 tokens take kFixed + kPerSequence B + kPerPrompt 1000; half a mean step before.
  const auto first_token = [](double batch) {
    return 0.5 * mean_step(batch) + kFixed + kPerSequence * batch + kPerPrompt * 1000;
  };
  request.first_token = Duration(first_token(10.5));
  const results::CapacityChoice choice = plan_capacity(request).choices.front();
  CHECK(choice.limit == "time to first token");
  CHECK(choice.batch == 10);
  CHECK(choice.first_token.value() == doctest::Approx(first_token(10)));
  request.first_token = Duration(first_token(0.5));
  CHECK(plan_capacity(request).choices.front().unreachable.starts_with("too slow: the first token"));
}

TEST_CASE("what is out of reach says so, and comes last") {
  CapacityRequest request = request_of({{"slower", 10}}, 1, 0.05);
  request.kinds.push_back({"fast", {{"", {{"gpus", 64}}}}, serving_step, {}});
  const auto capacity = plan_capacity(request);
  CHECK(capacity.choices[0].name == "fast");
  CHECK(capacity.choices[1].unreachable.starts_with("too slow: 110 ms per output token with 1 request"));
  CHECK(capacity.choices[1].instances == 0);
  const auto none = plan_capacity(request_of({{"memory", 0}}, 1, 0.05));
  CHECK(none.choices[0].unreachable == "does not run: does not fit");
}

TEST_CASE("of several options the one with the fewest GPUs in all, of several kinds the cheapest first") {
  const double rate = batch_within(0.05) / 0.05 / 100;
  CapacityRequest request = request_of({{"gpus", 8}}, 1.1 * rate, 0.05);
  // Two instances of 8 GPUs; one of 12 could do but half of what a GPU of the others does.
  request.kinds[0].options = {{"8", {{"gpus", 8}}}, {"12", {{"gpus", 12}, {"slower", 0.9}}}};
  request.kinds[0].price = 3;
  request.kinds.push_back({"cheap", {{"", {{"gpus", 8}}}}, serving_step, 2});
  const auto capacity = plan_capacity(request);
  CHECK(capacity.priced);
  CHECK(capacity.choices[0].name == "cheap");
  CHECK(capacity.choices[0].price_per_hour() == 2 * 16);
  CHECK(capacity.choices[1].option == "12");
  CHECK(capacity.choices[1].all_gpus() == 12);
  request.kinds[1].price.reset();
  CHECK(plan_capacity(request).choices[0].name == "kind");  // not all are priced: by GPUs
}

TEST_CASE("the interval is that of the times' errors, the same on any number of threads") {
  CapacityRequest request = request_of({{"error", 0.2}}, 0, 0.05);
  request.kinds.push_back(request.kinds.front());
  request.requests_per_s = 1000 * batch_within(0.05) / 0.05 / 100;
  request.draws.count = 2000;
  const results::Capacity capacity = plan_capacity(request);
  const results::CapacityChoice& choice = capacity.choices.front();
  CHECK(choice.instances == 1000);
  // A time longer by a factor f leaves a batch of (tpot / f - kFixed) / slope.
  const auto needed = [](double f) { return 1000 * (0.05 - kFixed) / (0.05 / f - kFixed); };
  CHECK(choice.low == doctest::Approx(needed(1 / 1.2)).epsilon(0.02));
  CHECK(choice.high == doctest::Approx(needed(1.2)).epsilon(0.02));
  CHECK(choice.reached == 1);
  request.threads = 2;
  CHECK(results::to_json(plan_capacity(request)) == results::to_json(capacity));
}

}  // namespace moesim::planning
