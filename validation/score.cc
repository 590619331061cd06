#include "validation/score.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <nlohmann/json.hpp>

#include "base/parallel.h"
#include "base/statistics.h"

namespace moesim::validation {
namespace {

constexpr std::size_t kChunk = 32;  // samples that one thread takes at a time

using base::Json;

}  // namespace

std::vector<ScoredSample> predict(const std::vector<Sample>& samples, const System& system,
                                  const ParameterSource& parameters) {
  std::map<std::string_view, profile::KernelParameters> kernels;
  for (const Sample& sample : samples)
    if (!kernels.contains(sample.kernel))
      kernels.emplace(sample.kernel, sample.kernel.empty() ? profile::KernelParameters() : parameters(sample.kernel));
  std::vector<ScoredSample> scored(samples.size());
  base::parallel_for((samples.size() + kChunk - 1) / kChunk, 0, [&](std::size_t chunk) {
    for (std::size_t i = chunk * kChunk; i < std::min(samples.size(), (chunk + 1) * kChunk); ++i) {
      const Sample& sample = samples[i];
      const profile::KernelParameters& kernel = kernels.at(sample.kernel);
      const Estimate estimate = sample.predict(system, kernel);
      const double us = estimate.time.value() * 1e6;
      const double width = sample.kernel.empty() ? 0 : kernel.log_error(sample.error_class);
      scored[i] = {sample.row,
                   sample.column,
                   sample.kernel,
                   sample.group,
                   sample.error_class,
                   sample.size,
                   sample.measured_us,
                   us,
                   us * std::exp(-std::hypot(width, estimate.draw_low)),
                   us * std::exp(std::hypot(width, estimate.draw_high)),
                   estimate.draw_low,
                   estimate.draw_high,
                   sample.scored};
    }
  });
  return scored;
}

GroupScore summarise(std::string name, const std::vector<const ScoredSample*>& samples) {
  GroupScore group;
  group.name = std::move(name);
  group.rows = samples.size();
  if (samples.empty()) return group;
  std::vector<double> errors, absolute, widths;
  std::size_t inside = 0;
  for (const ScoredSample* sample : samples) {
    errors.push_back(sample->predicted_us / sample->measured_us - 1);
    absolute.push_back(std::abs(errors.back()));
    widths.push_back((sample->high_us - sample->low_us) / (2 * sample->predicted_us));
    inside += sample->low_us <= sample->measured_us && sample->measured_us <= sample->high_us ? 1 : 0;
  }
  group.median = base::quantile(absolute, 0.5);
  group.p90 = base::quantile(absolute, 0.9);
  group.max = base::maximum(absolute);
  group.bias = base::quantile(errors, 0.5);
  group.coverage = static_cast<double>(inside) / static_cast<double>(samples.size());
  group.width = base::quantile(widths, 0.5);
  return group;
}

namespace {

std::vector<Score::Rows> by_reason(const std::vector<Skipped>& rows) {
  std::vector<Score::Rows> result;
  for (const Skipped& row : rows) {
    const auto same = std::find_if(result.begin(), result.end(), [&](const auto& r) { return r.reason == row.reason; });
    if (same == result.end())
      result.push_back({1, row.reason});
    else
      ++same->rows;
  }
  return result;
}

Json to_json(const std::vector<Score::Rows>& rows) {
  Json result = Json::array();
  for (const Score::Rows& entry : rows) result.push_back({{"rows", entry.rows}, {"reason", entry.reason}});
  return result;
}

}  // namespace

Score validate(const calibration::Table& table, const TableKind& kind, const System& system,
               const ParameterSource& parameters) {
  const std::string title = std::string(kind.name) + " (" + std::string(kind.title) + ")";
  if (kind.kernels.empty() && !kind.scenarios)
    throw base::InputError(table.file(), "", "tables of the kind " + title + " are not modelled yet");
  const Samples read = kind.read(table, system);
  Score score;
  score.system = system.name();
  score.kind = kind.name;
  score.samples = predict(read.samples, system, parameters);

  std::vector<const ScoredSample*> all;
  std::vector<std::pair<std::string, std::vector<const ScoredSample*>>> groups;
  std::map<std::string, std::size_t> index;
  for (const ScoredSample& sample : score.samples) {
    if (sample.scored) all.push_back(&sample);
    const auto [at, is_new] = index.try_emplace(sample.group, groups.size());
    if (is_new) groups.emplace_back(sample.group, std::vector<const ScoredSample*>());
    groups[at->second].second.push_back(&sample);
  }
  score.all = summarise("all", all);
  for (const auto& [name, members] : groups) score.groups.push_back(summarise(name, members));
  score.skipped = by_reason(read.skipped);
  score.reread = by_reason(read.reread);
  return score;
}

Json to_json(const Score& score) {
  const bool any = score.all.rows > 0;
  const auto number = [&](double value) { return any ? Json(value) : Json(nullptr); };
  Json groups = Json::array();
  for (const GroupScore& group : score.groups) {
    groups.push_back(
        {{"name", group.name}, {"rows", group.rows}, {"median", group.median}, {"p90", group.p90}, {"max", group.max}});
  }
  Json json{{"system", score.system},         {"kind", score.kind},
            {"rows", score.all.rows},         {"median", number(score.all.median)},
            {"p90", number(score.all.p90)},   {"max", number(score.all.max)},
            {"bias", number(score.all.bias)}, {"coverage", number(score.all.coverage)},
            {"groups", std::move(groups)},    {"skipped", to_json(score.skipped)}};
  if (!score.reread.empty()) json["reread"] = to_json(score.reread);
  return json;
}

std::string rows_csv(const calibration::Table& table, const Score& score) {
  std::vector<calibration::Table::Column> columns;
  for (const ScoredSample& sample : score.samples) {
    auto column = std::find_if(columns.begin(), columns.end(), [&](const auto& c) { return c.name == sample.column; });
    if (column == columns.end())
      column = columns.insert(columns.end(), {std::string(sample.column), std::vector<std::string>(table.rows())});
    column->cells[sample.row] = base::format_number(sample.predicted_us, 8);
  }
  return table.csv(columns);
}

}  // namespace moesim::validation
