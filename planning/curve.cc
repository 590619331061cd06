#include "planning/curve.h"

#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/parallel.h"
#include "planning/operating_point.h"

namespace moesim::planning {
namespace {

using results::ClusterCurve;
using results::StepRun;

struct Swept {
  ClusterCurve curve;
  RunsByOption runs;
  StepOutcome first;
};

StepOutcome at_batch(const StepFunction& function, const base::Json& scenario, std::int64_t batch) {
  base::Json document = scenario;
  document["step"]["batch"] = batch;
  return function(document);
}

// Whether the options before this one do at least as well as its bound at that batch.
bool beaten(const RunsByOption& others, const StepOutcome& bound) {
  if (!bound.ran()) return false;
  return best_point(others, bound.run.users).per_gpu >= bound.run.per_gpu;
}

void sweep(const CurveCluster& cluster, const CurveOption& option, const CurveRequest& request, Swept& out) {
  const StepOutcome one = at_batch(cluster.run, option.scenario, 1);
  if (!one.ran()) {
    out.curve.refused.push_back((option.name.empty() ? "" : option.name + ": ") + one.refused);
    return;
  }
  if (out.first.gpus == 0) out.first = one;
  std::vector<StepRun> runs{one.run};
  const std::vector<std::int64_t> grid = batch_grid(one.run.largest_batch, request.batches);
  for (std::size_t i = 1; i < grid.size(); ++i) {
    if (runs.back().users < request.users.front()) {
      out.curve.pruned += static_cast<std::int64_t>(grid.size() - i);
      break;
    }
    const bool could_be_beaten = cluster.bound && !out.runs.empty();
    if (could_be_beaten && beaten(out.runs, at_batch(cluster.bound, option.scenario, grid[i]))) {
      ++out.curve.pruned;
      continue;
    }
    const StepOutcome next = at_batch(cluster.run, option.scenario, grid[i]);
    if (!next.ran()) {  // buffers grow with the batch a little
      for (StepRun& run : runs) run.largest_batch = runs.back().batch;
      break;
    }
    runs.push_back(next.run);
  }
  for (StepRun& run : runs) {
    run.option = option.name;
    out.curve.runs.push_back(run);
  }
  out.runs.push_back(std::move(runs));
}

Swept sweep_all(const CurveCluster& cluster, const CurveRequest& request) {
  Swept out;
  out.curve.name = cluster.name;
  out.curve.options = static_cast<std::int64_t>(cluster.options.size());
  for (const CurveOption& option : cluster.options) sweep(cluster, option, request, out);
  out.curve.cluster = out.first.cluster;
  out.curve.gpus = out.first.gpus;
  for (const double users : request.users) {
    results::OperatingPoint point;
    if (!out.runs.empty()) point = best_point(out.runs, users);
    point.users = users;
    if (out.runs.empty()) point.unreachable = "does not run: " + out.curve.refused.front();
    out.curve.points.push_back(std::move(point));
  }
  return out;
}

}  // namespace

std::vector<std::int64_t> batch_grid(std::int64_t largest, std::int32_t count) {
  std::vector<std::int64_t> grid{1};
  for (std::int32_t i = 1; i < count; ++i) {
    const double exponent = static_cast<double>(i) / (count - 1);
    const std::int64_t batch = std::llround(std::pow(static_cast<double>(largest), exponent));
    if (batch > grid.back()) grid.push_back(batch);
  }
  return grid;
}

results::CurveComparison make_curve(const CurveRequest& request) {
  MOESIM_CHECK(request.baseline < request.clusters.size() && !request.users.empty(), "no baseline or no points");
  std::vector<Swept> swept(request.clusters.size());
  base::parallel_for(swept.size(), request.threads,
                     [&](std::size_t i) { swept[i] = sweep_all(request.clusters[i], request); });
  results::CurveComparison curve;
  curve.users = request.users;
  curve.baseline = request.baseline;
  curve.draws = request.draws.count;
  curve.model = swept[request.baseline].first.model;
  for (Swept& cluster : swept) {
    auto& ratios = curve.speedup.emplace_back();
    for (const double users : request.users)
      ratios.push_back(ratio(swept[request.baseline].runs, cluster.runs, users, request.draws));
    add_missing(cluster.first.assumptions, curve.assumptions);
    add_missing(cluster.first.not_modelled, curve.not_modelled);
    add_missing(cluster.first.warnings, curve.warnings);
    curve.runs += static_cast<std::int64_t>(cluster.curve.runs.size());
  }
  for (Swept& cluster : swept) curve.clusters.push_back(std::move(cluster.curve));
  return curve;
}

}  // namespace moesim::planning
