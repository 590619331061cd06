#include "planning/capacity.h"

#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/parallel.h"
#include "base/statistics.h"
#include "planning/operating_point.h"

namespace moesim::planning {
namespace {

using base::Duration;
using results::CapacityChoice;
using results::OperatingPoint;
using results::ServingRun;
using results::StepRun;

constexpr double kClose = 1.05;  // batches nearer than this are not told apart

struct Option {
  std::string name, cluster;
  std::vector<ServingRun> runs;  // by rising batch
};

struct Tried {
  std::vector<Option> options;
  std::vector<std::string> refused;
  StepOutcome first;
};

// A step without and one with prompts; a refusal if either is refused.
StepOutcome serve(const StepFunction& function, const base::Json& scenario, const sim::RequestShape& shape,
                  std::int64_t batch, ServingRun& out) {
  StepOutcome plain = function(serving_scenario(scenario, shape, batch, 0));
  if (!plain.ran()) return plain;
  const double tokens = plain.run.tokens_per_step;
  const sim::PromptMix mix = sim::prompt_mix(shape, batch, tokens);
  StepOutcome mixed = function(serving_scenario(scenario, shape, batch, mix.prefill_tokens));
  if (!mixed.ran()) return mixed;
  const Duration without(tokens / plain.run.users), with(tokens / mixed.run.users);
  out.step = mixed.run;
  out.step.users = tokens / mix.mean(without, with).value();
  out.step.per_gpu = out.step.sequences_per_gpu * out.step.users;
  out.first_token = sim::time_to_first_token(shape, mix, without, with);
  out.prompt_share = mix.share;
  add_missing(plain.assumptions, mixed.assumptions);  // "auto" may take another kernel without prompts
  add_missing(plain.warnings, mixed.warnings);
  return mixed;
}

bool meets(const ServingRun& run, const CapacityRequest& request) {
  return run.step.users * request.per_token.value() >= 1 &&
         (request.first_token.value() == 0 || run.first_token <= request.first_token);
}

void try_option(const CapacityKind& kind, const CurveOption& option, const CapacityRequest& request, Tried& out) {
  Option tried{option.name, "", {}};
  std::string refused;
  const auto run = [&](std::int64_t batch) {
    ServingRun one;
    const StepOutcome outcome = serve(kind.run, option.scenario, request.shape, batch, one);
    if (!outcome.ran()) {
      refused = outcome.refused;
      return false;
    }
    if (out.first.gpus == 0) out.first = outcome;
    tried.cluster = outcome.cluster;
    one.step.option = option.name;
    const auto place = std::lower_bound(tried.runs.begin(), tried.runs.end(), batch,
                                        [](const ServingRun& r, std::int64_t b) { return r.step.batch < b; });
    tried.runs.insert(place, one);
    return true;
  };
  if (!run(1)) {
    out.refused.push_back((option.name.empty() ? "" : option.name + ": ") + refused);
    return;
  }
  std::int64_t largest = tried.runs.front().step.largest_batch, failed = 0;
  const std::vector<std::int64_t> grid = batch_grid(largest, request.batches);
  for (std::size_t i = 1; i < grid.size() && meets(tried.runs.back(), request); ++i) {
    if (run(grid[i])) continue;
    failed = grid[i];  // prompts need memory, too
    break;
  }
  // The largest batch that fits, or that is fast enough, more closely.
  const auto last_good = [&] {
    std::int64_t good = 0;
    for (const ServingRun& r : tried.runs)
      if (meets(r, request)) good = r.step.batch;
    return good;
  };
  for (std::int64_t good = last_good(); good > 0; good = last_good()) {
    std::int64_t bad = failed;
    for (const ServingRun& r : tried.runs)
      if (r.step.batch > good && (bad == 0 || r.step.batch < bad)) bad = r.step.batch;
    if (bad == 0 || bad - good < 2 || static_cast<double>(bad) < kClose * static_cast<double>(good)) break;
    if (const std::int64_t middle = good + (bad - good) / 2; !run(middle)) failed = middle;
  }
  if (failed > 0) largest = failed - 1;
  for (ServingRun& r : tried.runs) r.step.largest_batch = std::min(r.step.largest_batch, largest);
  out.options.push_back(std::move(tried));
}

struct Point {
  OperatingPoint point;
  bool first_token_binds = false;
};

// With all times longer by what a draw says (nullptr: as they are).
Point operate(const Option& option, const CapacityRequest& request, const std::int64_t* draw) {
  std::vector<StepRun> runs;
  std::vector<double> factors;
  Point out;
  for (const ServingRun& run : option.runs) {
    const double factor = draw == nullptr ? 1 : stretch(run.step, request.draws, *draw);
    out.first_token_binds = request.first_token.value() > 0 && run.first_token * factor > request.first_token;
    if (out.first_token_binds) break;
    runs.push_back(run.step);
    factors.push_back(factor);
  }
  if (runs.empty()) {
    out.point.near = option.runs.front().step;
    return out;
  }
  if (out.first_token_binds)
    for (StepRun& run : runs) run.largest_batch = runs.back().batch;
  out.point = operating_point(runs, 1 / request.per_token.value(), factors);
  return out;
}

// Instances, not rounded.
double needed(const OperatingPoint& point, std::int32_t gpus, const CapacityRequest& request) {
  return request.requests_per_s * static_cast<double>(request.shape.output_tokens) / (point.per_gpu * gpus);
}
std::int64_t whole(double instances) { return std::max<std::int64_t>(1, std::llround(std::ceil(instances - 1e-9))); }

// Of the chosen option, whatever the draw: it has to be chosen before the errors are known.
void add_interval(const Option& option, const CapacityRequest& request, CapacityChoice& choice) {
  std::vector<double> instances;
  for (std::int64_t d = 0; d < request.draws.count; ++d)
    if (const Point drawn = operate(option, request, &d); drawn.point.reached())
      instances.push_back(needed(drawn.point, choice.gpus, request));
  choice.low = choice.high = choice.instances;
  if (request.draws.count == 0) return;
  choice.reached = static_cast<double>(instances.size()) / static_cast<double>(request.draws.count);
  if (instances.empty()) return;
  choice.low = std::min(choice.instances, whole(base::quantile(instances, 0.1)));
  choice.high = std::max(choice.instances, whole(base::quantile(instances, 0.9)));
}

// With the fewest GPUs; of equal ones the option that does most on each; else the one that comes nearest.
std::size_t best_option(const std::vector<Option>& options, const std::vector<Point>& points,
                        const CapacityRequest& request) {
  const auto gpus = [&](std::size_t i) {
    const std::int32_t of_instance = options[i].runs.front().step.gpus;
    return whole(needed(points[i].point, of_instance, request)) * of_instance;
  };
  std::size_t best = 0;
  for (std::size_t i = 1; i < options.size(); ++i) {
    const OperatingPoint &one = points[i].point, &other = points[best].point;
    if (!one.reached() && !other.reached() ? one.near.users > other.near.users
        : one.reached() != other.reached() ? one.reached()
        : gpus(i) != gpus(best)            ? gpus(i) < gpus(best)
                                           : one.per_gpu > other.per_gpu)
      best = i;
  }
  return best;
}

CapacityChoice choose(const CapacityKind& kind, const CapacityRequest& request, Tried& tried) {
  for (const CurveOption& option : kind.options) try_option(kind, option, request, tried);
  CapacityChoice choice;
  choice.name = kind.name;
  choice.price = kind.price.value_or(0);
  choice.refused = tried.refused;
  if (tried.options.empty()) {
    choice.unreachable = "does not run: " + tried.refused.front();
    return choice;
  }
  std::vector<Point> points;
  for (const Option& option : tried.options) points.push_back(operate(option, request, nullptr));
  const std::size_t chosen = best_option(tried.options, points, request);
  const Option& option = tried.options[chosen];
  const OperatingPoint& point = points[chosen].point;
  choice.option = option.name;
  choice.cluster = option.cluster;
  choice.runs = option.runs;
  choice.near = *std::find_if(option.runs.begin(), option.runs.end(),
                              [&](const ServingRun& r) { return r.step.batch == point.near.batch; });
  const StepRun& near = choice.near.step;
  choice.plan = near.plan;
  choice.gpus = near.gpus;
  choice.per_token = Duration(1 / near.users);
  choice.first_token = choice.near.first_token;
  if (!point.reached()) {
    choice.unreachable =
        near.users * request.per_token.value() >= 1
            ? "too slow: the first token of a request that runs alone takes " + base::to_string(choice.first_token)
            : "too slow: " + base::to_string(choice.per_token) + " per output token with " +
                  std::to_string(near.batch) + " request in each copy of attention";
    return choice;
  }
  const double instances = needed(point, choice.gpus, request);
  choice.instances = whole(instances);
  choice.load = instances / static_cast<double>(choice.instances);
  choice.requests_per_s = request.requests_per_s / instances;
  choice.output_tokens_per_s_per_gpu = point.per_gpu;
  choice.batch = point.batch;
  // Of the operating point: rates are sequences over time.
  choice.per_token = Duration(point.batch * near.sequences_per_gpu / static_cast<double>(near.batch) / point.per_gpu);
  choice.limit = !point.memory_bound                ? "time per output token"
                 : points[chosen].first_token_binds ? "time to first token"
                                                    : "memory";
  add_interval(option, request, choice);
  return choice;
}

}  // namespace

base::Json serving_scenario(const base::Json& scenario, const sim::RequestShape& shape, std::int64_t batch,
                            std::int64_t prefill_tokens) {
  base::Json document = scenario;
  base::Json& step = document["step"];
  step["batch"] = batch;
  step["kv_tokens"] = shape.kv_tokens();
  step.erase("prefill_tokens");
  step.erase("prompt_tokens");
  if (prefill_tokens > 0) {
    step["prefill_tokens"] = prefill_tokens;
    step["prompt_tokens"] = shape.input_tokens;
  }
  return document;
}

results::Capacity plan_capacity(const CapacityRequest& request) {
  MOESIM_CHECK(!request.kinds.empty() && request.requests_per_s > 0 && request.per_token.value() > 0,
               "no kinds of clusters, no load or no target");
  std::vector<Tried> tried(request.kinds.size());
  results::Capacity capacity;
  capacity.choices.resize(request.kinds.size());
  base::parallel_for(tried.size(), request.threads,
                     [&](std::size_t i) { capacity.choices[i] = choose(request.kinds[i], request, tried[i]); });
  capacity.requests_per_s = request.requests_per_s;
  capacity.input_tokens = request.shape.input_tokens;
  capacity.output_tokens = request.shape.output_tokens;
  capacity.per_token = request.per_token;
  capacity.first_token = request.first_token;
  capacity.draws = request.draws.count;
  capacity.priced = std::all_of(request.kinds.begin(), request.kinds.end(),
                                [](const CapacityKind& kind) { return kind.price.has_value(); });
  for (const Tried& kind : tried) {
    if (capacity.model.empty()) capacity.model = kind.first.model;
    add_missing(kind.first.assumptions, capacity.assumptions);
    add_missing(kind.first.not_modelled, capacity.not_modelled);
    add_missing(kind.first.warnings, capacity.warnings);
    for (const Option& option : kind.options) capacity.runs += 2 * static_cast<std::int64_t>(option.runs.size());
  }
  std::stable_sort(capacity.choices.begin(), capacity.choices.end(),
                   [&](const CapacityChoice& a, const CapacityChoice& b) {
                     if (a.unreachable.empty() != b.unreachable.empty()) return a.unreachable.empty();
                     if (capacity.priced) return a.price_per_hour() < b.price_per_hour();
                     return a.all_gpus() < b.all_gpus();
                   });
  return capacity;
}

}  // namespace moesim::planning
