#include "validation/calibrate.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <optional>
#include <set>

#include "base/statistics.h"
#include "validation/kinds.h"
#include "validation/skew.h"

namespace moesim::validation {
namespace {

using calibration::KernelObservation;

// Which sample of which table.
struct Origin {
  const MeasuredTable* table = nullptr;
  const Sample* sample = nullptr;
};

std::vector<Origin> rows_of(const std::vector<MeasuredTable>& tables, std::string_view kernel) {
  std::vector<Origin> rows;
  for (const MeasuredTable& table : tables)
    for (const Sample& sample : table.samples.samples)
      if (sample.kernel == kernel) rows.push_back({&table, &sample});
  return rows;
}

// The parameters of a kernel that hold for a GPU already.
std::optional<profile::KernelParameters> known(const profile::Profile* shipped, const profile::KernelModel& model) {
  if (shipped == nullptr || shipped->calibration(model.name) == nullptr) return std::nullopt;
  profile::KernelParameters parameters = shipped->kernel(model.name);
  for (const profile::ParameterSpec& spec : model.parameters) {
    const auto& all = parameters.all();
    if (std::none_of(all.begin(), all.end(), [&](const auto& p) { return p.first == spec.name; })) return std::nullopt;
  }
  return parameters;
}

calibration::KernelFit fit_rows(const profile::KernelModel& model, const std::vector<Origin>& rows,
                                const profile::Profile* shipped) {
  std::vector<KernelObservation> observations;
  std::vector<std::string> labels;
  for (const Origin& origin : rows) {
    if (labels.empty() || labels.back() != origin.table->label) labels.push_back(origin.table->label);
    const profile::Profile& profile = origin.table->system.profile();
    KernelObservation observation;
    observation.system = profile.name;
    observation.family = profile.family;
    observation.table = labels.size() - 1;
    observation.measured = {origin.sample->measured_us, origin.sample->weight};
    observation.size = origin.sample->size;
    observation.predict = [origin](const profile::KernelParameters& parameters) {
      return origin.sample->predict(origin.table->system, parameters).time.value() * 1e6;
    };
    observations.push_back(std::move(observation));
  }
  const auto prior = known(shipped, model);
  return calibration::fit_kernel(model, observations, labels, {}, prior ? &*prior : nullptr);
}

std::vector<double> skew_errors(const calibration::KernelFit& fit, const std::vector<Origin>& rows) {
  std::vector<double> errors;
  for (std::size_t begin = 0; begin < rows.size();) {
    const MeasuredTable& table = *rows[begin].table;
    std::vector<PredictedRow> predicted;
    for (; begin < rows.size() && rows[begin].table == &table; ++begin)
      predicted.push_back({rows[begin].sample->row, fit.log_errors[begin]});
    const auto more = skew_ratio_errors(table.table, table.kind.time_columns, predicted);
    errors.insert(errors.end(), more.begin(), more.end());
  }
  return errors;
}

// Judges rows, table by table, by a fit that has not seen them.
void judge(const profile::KernelCalibration& calibration, const std::vector<Origin>& rows, const std::string& split,
           Split::By by, std::vector<HoldOut>& hold_outs) {
  for (std::size_t begin = 0; begin < rows.size();) {
    const MeasuredTable& table = *rows[begin].table;
    std::vector<Sample> samples;
    std::size_t end = begin;
    for (; end < rows.size() && rows[end].table == &table; ++end) samples.push_back(*rows[end].sample);
    begin = end;
    const profile::Profile& profile = table.system.profile();
    const auto parameters = profile::resolve(calibration, profile.name, profile.family);
    HoldOut hold_out{split, by, table.label, profile.name, calibration.kernel, parameters.relation(), {}, {}};
    hold_out.samples = predict(samples, table.system,
                               [&](std::string_view) -> const profile::KernelParameters& { return parameters; });
    hold_outs.push_back(std::move(hold_out));
  }
}

std::vector<HoldOut> hold_out(const profile::KernelModel& model, const TableKind& kind, const std::vector<Origin>& rows,
                              const profile::Profile* shipped) {
  std::vector<HoldOut> result;
  const auto run = [&](const std::string& name, Split::By by, auto part) {
    std::vector<Origin> fitted, judged;
    for (const Origin& origin : rows) {
      const Part p = part(origin);
      if (p == Part::Fit) fitted.push_back(origin);
      if (p == Part::Test) judged.push_back(origin);
    }
    if (fitted.empty() || judged.empty()) return;
    judge(fit_rows(model, fitted, shipped).calibration, judged, name, by, result);
  };
  for (const Split& split : kind.splits) {
    run(std::string(split.name), split.by,
        [&](const Origin& o) { return split.part(o.table->system, o.table->table, o.sample->row); });
  }
  std::set<std::string> systems;
  for (const Origin& origin : rows) systems.insert(origin.table->system.profile().name);
  for (const std::string& system : systems) {
    run(system + " left out", Split::By::System,
        [&](const Origin& o) { return o.table->system.profile().name == system ? Part::Test : Part::Fit; });
  }
  return result;
}

// The half-width that holds the wanted share of the rows when every group counts the same. What a row's own draws
// explain is taken off first.
using Excesses = std::vector<double>;  // |log error| beyond the draws, of a group's rows
double pooled_width(const std::vector<Excesses>& groups) {
  // Intervals are to hold 80 % of the rows of a *new* group. Groups differ by more than rows within one do, so that the
  // 80 % quantile of a handful of pooled groups holds less of the next one. One number for all kernels, chosen so that
  // about 80 % of all held-out rows lie inside.
  constexpr double kShare = 0.83;
  std::vector<std::pair<double, double>> weighted;  // (excess, weight)
  for (const Excesses& group : groups)
    for (const double e : group) weighted.emplace_back(e, 1.0 / static_cast<double>(group.size()));
  std::sort(weighted.begin(), weighted.end());
  double below = 0;
  const double wanted = kShare * static_cast<double>(groups.size());
  for (const auto& [excess, weight] : weighted) {
    below += weight;
    if (below >= wanted) return excess;
  }
  return weighted.empty() ? 0 : weighted.back().first;
}

double excess_of(const ScoredSample& sample) {
  const double error = std::log(sample.measured_us / sample.predicted_us);
  const double draw = error < 0 ? sample.draw_low : sample.draw_high;
  return std::sqrt(std::max(0.0, error * error - draw * draw));
}

// Relations without evidence are filled from their neighbours.
constexpr double kWiderPerStep = 1.5;  // assumed, from a relation with evidence to the next without
using Widths = std::array<double, 3>;
void fill_from_neighbours(Widths& out) {
  if (out[0] == 0) out[0] = out[1] > 0 ? out[1] / kWiderPerStep : out[2] / (kWiderPerStep * kWiderPerStep);
  if (out[1] == 0) out[1] = out[2] > 0 ? std::sqrt(out[0] * out[2]) : out[0] * kWiderPerStep;
  if (out[2] == 0) out[2] = out[1] * kWiderPerStep;
}

// A class of rows that a relation has no evidence for is as much wider than the others there as where it has.
void fill_from_class(Widths& out, const Widths& others) {
  double log_ratio = 0, known = 0;
  for (std::size_t r = 0; r < out.size(); ++r) {
    if (out[r] == 0 || others[r] == 0) continue;
    log_ratio += std::log(out[r] / others[r]);
    ++known;
  }
  const double ratio = known > 0 ? std::exp(log_ratio / known) : 1;
  for (std::size_t r = 0; r < out.size(); ++r)
    if (out[r] == 0) out[r] = others[r] * ratio;
}

// Widths from all hold-outs but those of the judged system in the judged split (null: from all).
profile::LogErrors widths(const std::vector<HoldOut>& hold_outs, const HoldOut* judged) {
  std::set<std::string> classes{""};
  for (const HoldOut& h : hold_outs)
    for (const ScoredSample& sample : h.samples) classes.insert(sample.error_class);
  profile::LogErrors errors;
  for (const std::string& error_class : classes) {
    Widths& out = errors[error_class];
    for (std::size_t r = 0; r < out.size(); ++r) {
      std::vector<Excesses> groups;
      for (const HoldOut& h : hold_outs) {
        const bool same_group = judged != nullptr && h.split == judged->split && h.system == judged->system;
        if (same_group || static_cast<std::size_t>(h.relation) != r) continue;
        Excesses group;
        for (const ScoredSample& sample : h.samples)
          if (sample.error_class == error_class) group.push_back(excess_of(sample));
        if (!group.empty()) groups.push_back(std::move(group));
      }
      out[r] = pooled_width(groups);
    }
    if (error_class.empty())  // the first
      fill_from_neighbours(out);
    else
      fill_from_class(out, errors.at(""));
  }
  return errors;
}

void apply_widths(HoldOut& hold_out, const profile::LogErrors& errors) {
  const profile::KernelParameters parameters(hold_out.kernel, {}, hold_out.relation, errors);
  std::vector<const ScoredSample*> pointers;
  for (ScoredSample& sample : hold_out.samples) {
    const double width = parameters.log_error(sample.error_class);
    sample.low_us = sample.predicted_us * std::exp(-std::hypot(width, sample.draw_low));
    sample.high_us = sample.predicted_us * std::exp(std::hypot(width, sample.draw_high));
    pointers.push_back(&sample);
  }
  hold_out.score = summarise(hold_out.split, pointers);
}

// For a fit without hold-outs: the fitted rows themselves.
HoldOut in_sample(const calibration::KernelFit& fit, const std::vector<Origin>& rows) {
  HoldOut all;
  all.kernel = fit.calibration.kernel;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Sample& sample = *rows[i].sample;
    ScoredSample scored;
    scored.error_class = sample.error_class;
    scored.measured_us = sample.measured_us;
    scored.predicted_us = sample.measured_us * std::exp(fit.log_errors[i]);
    all.samples.push_back(std::move(scored));
  }
  return all;
}

// The widths of a short log, with those that were known as so many further rows.
void blend(profile::LogErrors& errors, std::size_t rows, const profile::LogErrors& shipped) {
  constexpr double kShippedRows = 20;
  if (shipped.empty()) return;
  for (auto& [error_class, widths] : errors) {
    auto found = shipped.find(error_class);
    if (found == shipped.end()) found = shipped.find("");
    if (found == shipped.end()) continue;
    for (std::size_t r = 0; r < widths.size(); ++r) {
      const double own = widths[r] * widths[r] * static_cast<double>(rows);
      widths[r] = std::sqrt((own + kShippedRows * found->second[r] * found->second[r]) /
                            (static_cast<double>(rows) + kShippedRows));
    }
  }
}

double rounded(double value) { return std::round(value * 1e4) / 1e4; }

constexpr std::size_t kSizeBins = 8;

}  // namespace

MeasuredTable read_table(const std::string& path, const std::string& system) {
  return measured_table(calibration::Table::read(path), system);
}

MeasuredTable measured_table(calibration::Table table, const std::string& system) {
  const std::string path = table.file();
  TableKind kind = recognise(table);
  System on(system);
  Samples samples;
  if (kind.read) samples = kind.read(table, on);
  const std::filesystem::path file(path);
  const std::string folder = file.parent_path().filename().string();
  return {std::move(table), folder + (folder.empty() ? "" : "/") + file.filename().string(), std::move(on),
          std::move(kind), std::move(samples)};
}

std::vector<MeasuredTable> read_tables(const std::string& folder) {
  std::vector<std::string> paths;
  std::error_code failed;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder, failed))
    if (entry.is_regular_file() && entry.path().extension() == ".csv") paths.push_back(entry.path().string());
  if (failed) throw base::InputError(folder, "", "cannot be read as a folder of tables");
  std::sort(paths.begin(), paths.end());
  std::vector<MeasuredTable> tables;
  for (const std::string& path : paths) {
    const calibration::Table table = calibration::Table::read(path);
    if (recognise(table).kernels.empty()) continue;
    const std::string system = system_of_file(path);
    if (system.empty()) {
      throw base::InputError(path, "", "the file's name does not start with a system",
                             "SYSTEM__anything.csv, SYSTEM like h100_sxm");
    }
    tables.push_back(read_table(path, system));
  }
  if (tables.empty()) throw base::InputError(folder, "", "holds no table of a kind that is modelled");
  return tables;
}

std::vector<KernelResult> fit_all(const std::vector<MeasuredTable>& tables, bool hold_outs,
                                  const profile::Profile* shipped) {
  std::vector<KernelResult> results;
  for (const TableKind& kind : table_kinds()) {
    for (const profile::KernelModel& model : kind.kernels) {
      const bool done = std::any_of(results.begin(), results.end(),
                                    [&](const KernelResult& r) { return r.model.name == model.name; });
      const std::vector<Origin> rows = rows_of(tables, model.name);
      if (done || rows.empty()) continue;
      KernelResult result{std::string(kind.name),
                          model,
                          fit_rows(model, rows, shipped),
                          {},
                          {},
                          std::string(rows.front().sample->size_unit),
                          {}};
      result.skew_errors = skew_errors(result.fit, rows);
      std::vector<double> sizes;
      for (const Origin& origin : rows) sizes.push_back(origin.sample->size);
      result.by_size = calibration::residuals_by_size(result.fit.log_errors, sizes, kSizeBins);
      if (hold_outs) result.hold_outs = hold_out(model, kind, rows, shipped);
      const std::vector<HoldOut> evidence =
          result.hold_outs.empty() ? std::vector<HoldOut>{in_sample(result.fit, rows)} : result.hold_outs;
      result.fit.calibration.errors = widths(evidence, nullptr);
      if (const auto before = shipped == nullptr ? nullptr : shipped->calibration(model.name))
        blend(result.fit.calibration.errors, rows.size(), before->errors);
      for (auto& [name, values] : result.fit.calibration.errors)
        for (double& value : values) value = rounded(value);
      for (HoldOut& h : result.hold_outs) apply_widths(h, widths(result.hold_outs, &h));
      results.push_back(std::move(result));
    }
  }
  return results;
}

}  // namespace moesim::validation
