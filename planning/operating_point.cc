#include "planning/operating_point.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace moesim::planning {

using results::OperatingPoint;
using results::StepRun;

namespace {

// With the largest batch that is fast enough.
OperatingPoint largest_in_time(const std::vector<StepRun>& runs, double users, const std::vector<double>& stretch) {
  MOESIM_CHECK(!runs.empty() && users > 0, "no runs, or no interactivity");
  const auto time = [&](std::size_t i) { return (stretch.empty() ? 1 : stretch[i]) / runs[i].users; };
  OperatingPoint point;
  point.users = users;
  point.option = runs.front().option;
  const double allowed = 1 / users;
  // The last run that is fast enough.
  std::size_t last = runs.size();
  for (std::size_t i = 0; i < runs.size(); ++i)
    if (time(i) <= allowed * (1 + 1e-12)) last = i;
  if (last == runs.size()) {
    point.near = runs.front();
    point.unreachable = "too slow: " + base::format_number(1 / time(0)) + " tokens/s/user with a batch of " +
                        std::to_string(runs.front().batch);
    return point;
  }
  const auto at = [&](std::size_t i) { return static_cast<double>(runs[i].batch); };
  point.batch = at(last);
  double step = allowed;
  if (last + 1 < runs.size()) {
    point.batch += (allowed - time(last)) / (time(last + 1) - time(last)) * (at(last + 1) - at(last));
  } else if (runs[last].batch >= runs[last].largest_batch) {
    point.memory_bound = true;
    step = time(last);
  } else if (runs.size() > 1 && time(last) > time(last - 1)) {
    const double slope = (time(last) - time(last - 1)) / (at(last) - at(last - 1));
    point.batch = std::min(point.batch + (allowed - time(last)) / slope, static_cast<double>(runs[last].largest_batch));
  } else {
    step = time(last);
  }
  point.per_gpu = point.batch * runs[last].sequences_per_gpu / at(last) / step;
  const bool later = last + 1 < runs.size() && time(last + 1) - allowed < allowed - time(last);
  point.near = runs[later ? last + 1 : last];
  return point;
}

// The batches that searches run: 1, 2, ... and steps of at most a quarter, up to the largest that fits.
std::pair<std::int64_t, std::int64_t> neighbours(double batch, std::int64_t largest) {
  std::int64_t below = 1, above = 1;
  while (static_cast<double>(above) < batch && above < largest) {
    below = above;
    above = std::min(largest, above + std::max<std::int64_t>(1, above / 4));
  }
  return {static_cast<double>(above) <= batch ? above : below, above};
}

}  // namespace

OperatingPoint operating_point(const std::vector<StepRun>& runs, double users, const std::vector<double>& stretch) {
  OperatingPoint point = largest_in_time(runs, users, stretch);
  // A smaller batch may do better, and is faster still: kernels work in tiles.
  for (std::size_t i = 0; point.reached() && i < runs.size(); ++i) {
    const double reached = runs[i].users / (stretch.empty() ? 1 : stretch[i]);
    const double per_gpu = runs[i].sequences_per_gpu * reached;
    if (reached < users || per_gpu <= point.per_gpu * (1 + 1e-12)) continue;
    point.batch = static_cast<double>(runs[i].batch);
    point.per_gpu = per_gpu;
    point.memory_bound = false;
    point.near = runs[i];
  }
  return point;
}

OperatingPoint find_operating_point(const StepFunction& run, const base::Json& scenario, double users, double guess,
                                    std::vector<StepRun>& runs) {
  constexpr int kMostSteps = 8;
  OperatingPoint point;
  point.users = users;
  base::Json document = scenario;
  const auto try_batch = [&](std::int64_t batch) {
    document["step"]["batch"] = batch;
    const StepOutcome outcome = run(document);
    if (!outcome.ran()) {
      point.unreachable = outcome.refused;
      return false;
    }
    const auto place =
        std::lower_bound(runs.begin(), runs.end(), batch, [](const StepRun& r, std::int64_t b) { return r.batch < b; });
    if (place == runs.end() || place->batch != batch) runs.insert(place, outcome.run);
    return true;
  };
  if (!try_batch(1)) return point;
  std::int64_t largest = runs.front().largest_batch;
  double wanted = std::clamp(guess, 2.0, std::max(2.0, static_cast<double>(largest)));
  bool bracket = false;  // the guess is one run, then both neighbours of the best batch
  for (int i = 0; i < kMostSteps && runs.front().users >= users; ++i) {
    const auto [below, above] = neighbours(wanted, largest);
    const std::int64_t most = bracket ? above : below;
    bool more = false;
    for (std::int64_t batch = below; batch <= most; batch += std::max<std::int64_t>(1, most - below)) {
      if (std::any_of(runs.begin(), runs.end(), [&](const StepRun& r) { return r.batch == batch; })) continue;
      more = true;
      if (try_batch(batch)) continue;
      largest = batch - 1;  // buffers grow with the batch a little
      for (StepRun& known : runs) known.largest_batch = largest;
      point.unreachable.clear();
      break;
    }
    if (bracket && !more) {  // what the guess led to does not count
      std::erase_if(runs, [low = below, high = above](const StepRun& r) {
        return r.batch != 1 && r.batch != low && r.batch != high;
      });
      break;
    }
    bracket = true;
    wanted = largest_in_time(runs, users, {}).batch;
  }
  return operating_point(runs, users);
}

}  // namespace moesim::planning
