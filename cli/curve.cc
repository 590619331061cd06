#include "cli/curve.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <ostream>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/version.h"
#include "cli/checks.h"
#include "planning/curve.h"
#include "report/curve.h"

namespace moesim::cli {
namespace {

using base::Json;

std::string name_of(const base::JsonDocument& document) {
  const Json& json = *document.root;
  if (json.contains("name") && json["name"].is_string()) return json["name"].get<std::string>();
  return std::filesystem::path(document.file).stem().string();
}

// Runners of one file's scenarios; kept alive by the functions that use them.
planning::StepFunction runner(const std::string& file, int layers, const std::string& engine) {
  const auto steps = std::make_shared<planning::StepRunner>(layers);
  return [=](const Json& scenario) {
    if (engine.empty()) return (*steps)(file, scenario);
    Json document = scenario;
    document["engine"] = {{"name", engine}};
    return (*steps)(file, document);
  };
}

}  // namespace

std::string stored_users(const base::JsonNode& inputs) {
  std::string text;
  const base::JsonNode users = inputs.member("users");
  for (std::size_t i = 0; i < users.size(); ++i)
    text += (i > 0 ? "," : "") + base::format_number(users.at(i).number(), 17);
  return text;
}

void SamplingOptions::add_to(CLI::App& verb) {
  verb.add_option("--layers", layers, "MoE layers to run of each model, scaled to all of them (0: all); default 8")
      ->check(whole_number_in(0, 1024));
  verb.add_option("--draws", draws, "Joint draws for the intervals of ratios")->check(whole_number_in(0, 100000));
}

void CurveOptions::add_to(CLI::App& verb) {
  verb.add_flag(
      "--curve", asked,
      "Whole-model decode steps: throughput per GPU at equal tokens/s/user, the best of all batches, --kernels "
      "and --vary");
  verb.add_option("--users", users, "With --curve: tokens/s/user, comma-separated; default 20,30,...,150");
  verb.add_option("--batches", batches, "With --curve: batches to run, at most")->check(whole_number_in(2, 1000));
  verb.add_option("--csv", csv, "With --curve: write the curve to this file");
  sampling.add_to(verb);
}

planning::StepFunction counted(planning::StepFunction run, Progress& progress) {
  return [run = std::move(run), &progress](const Json& scenario) {
    planning::StepOutcome outcome = run(scenario);
    progress.count();
    return outcome;
  };
}

void tell(const std::string& text, const Json& json, std::chrono::steady_clock::time_point start,
          const ScenarioOptions& options, Context& context) {
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  words(options.json, context) << text << "Took " << base::format_number(took.count()) << " s.\n";
  write_json(options.json, json.dump(2), context);
}

std::vector<double> read_users(const std::string& text) {
  std::vector<double> users;
  for (const std::string& part : split(text)) {
    char* end = nullptr;
    const double value = std::strtod(part.c_str(), &end);
    if (part.empty() || *end != '\0' || !(value > 0) || !std::isfinite(value) ||
        (!users.empty() && value <= users.back()))
      throw base::InputError("--users", "", "\"" + part + "\"" + (part == text ? "" : " in \"" + text + "\""),
                             "positive numbers in rising order, such as 20,40,80");
    users.push_back(value);
  }
  return users;
}

base::JsonDocument load_document(const ScenarioOptions& options, const std::string& path,
                                 const std::vector<std::string>& more) {
  base::JsonDocument document = options.patched(read_scenario_file(path), more);
  sim::make_paths_absolute(*document.root, path);
  if (document.root->is_object()) (*document.root)["name"] = name_of(document);
  return document;
}

std::string sampling_words(int layers, const std::vector<std::pair<std::string, Json>>& checks) {
  if (layers == 0) return "";
  double worst = 0;
  for (const auto& [file, check] : checks) {
    const auto part = planning::run_step(file, check, layers), all = planning::run_step(file, check, 0);
    if (part.ran() && all.ran()) worst = std::max(worst, std::abs(part.run.users / all.run.users - 1));
  }
  return "Of each model the first " + std::to_string(layers) +
         " MoE layers were run and scaled to all (--layers 0: all); at the middle of each side a step is off by at "
         "most " +
         base::format_number(100 * worst, 2) + " % from that of all layers.";
}

namespace {

planning::CurveRequest request_of(const ScenarioOptions& scenario, const CurveOptions& options) {
  planning::CurveRequest request;
  request.users = read_users(options.users);
  request.batches = options.batches;
  request.draws.count = options.sampling.draws;
  request.threads = scenario.threads;
  return request;
}

// `paths`: of a file of each cluster. `series`: one scenario with a value varied.
void finish(planning::CurveRequest request, const std::vector<std::string>& paths, bool series,
            const ScenarioOptions& scenario, const CurveOptions& options, Context& context) {
  const auto start = std::chrono::steady_clock::now();
  std::optional<Progress> progress(std::in_place, context.terminal, "curves", "decode steps");
  for (planning::CurveCluster& cluster : request.clusters) cluster.run = counted(cluster.run, *progress);
  results::CurveComparison curve = planning::make_curve(request);
  std::vector<std::pair<std::string, Json>> checks;  // the middle of each side, in the option that is best there
  for (std::size_t c = 0; c < request.clusters.size(); ++c) {
    std::vector<const results::StepRun*> best;
    for (const results::OperatingPoint& point : curve.clusters[c].points)
      if (point.reached()) best.push_back(&point.near);
    for (const planning::CurveOption& option : request.clusters[c].options) {
      if (best.empty() || best[best.size() / 2]->option != option.name) continue;
      checks.emplace_back(paths[c], option.scenario);
      checks.back().second["step"]["batch"] = best[best.size() / 2]->batch;
    }
  }
  curve.sampling = sampling_words(options.sampling.layers, checks);
  curve.scope = curve.model + ", decode";
  curve.series = series;
  curve.version = base::version();
  Json scenarios = Json::array();
  for (const planning::CurveCluster& cluster : request.clusters)
    for (const planning::CurveOption& option : cluster.options)
      scenarios.push_back({{"cluster", cluster.name}, {"option", option.name}, {"scenario", option.scenario}});
  curve.inputs = Json{{"scenarios", scenarios},       {"users", request.users},
                      {"batches", request.batches},   {"layers", options.sampling.layers},
                      {"draws", request.draws.count}, {"seed", request.draws.seed}}
                     .dump();
  progress.reset();
  tell(report::text(curve), results::to_json(curve), start, scenario, context);
  if (!options.csv.empty()) base::write_file(options.csv, results::to_csv(curve));
}

}  // namespace

void run_curve(const ScenarioOptions& scenario, const CurveOptions& options, const std::vector<std::string>& paths,
               const std::vector<Variant>& variants, const std::string& baseline, Context& context) {
  planning::CurveRequest request = request_of(scenario, options);
  std::vector<std::string> names, first_path;  // [clusters]
  const bool single = paths.size() == 1 && variants.size() > 1;
  for (const Variant& variant : single ? variants : std::vector<Variant>{}) {
    // Of one scenario each variant is a curve of its own.
    names.push_back(variant.name);
    first_path.push_back(paths.front());
    request.clusters.push_back({variant.name,
                                {{"", *load_document(scenario, paths.front(), variant.sets).root}},
                                runner(paths.front(), options.sampling.layers, ""),
                                {}});
  }
  std::vector<base::JsonDocument> documents;  // [paths]
  std::map<std::string, int> named;
  for (const std::string& path : single ? std::vector<std::string>{} : paths)
    ++named[name_of(documents.emplace_back(load_document(scenario, path)))];
  for (std::size_t i = 0; i < documents.size(); ++i) {
    const std::string &path = paths[i], name = name_of(documents[i]);
    const bool several = named[name] > 1;  // scenarios of one name are options of one cluster
    const std::string stem = several ? std::filesystem::path(path).stem().string() : "";
    const auto found = std::find(names.begin(), names.end(), name);
    const auto index = static_cast<std::size_t>(found - names.begin());
    if (found == names.end()) {
      names.push_back(name);
      first_path.push_back(path);
      planning::CurveCluster& cluster = request.clusters.emplace_back();
      cluster.name = name;
      cluster.run = runner(path, options.sampling.layers, "");
      cluster.bound = runner(path, options.sampling.layers, "bound");
    } else if (std::filesystem::path(path).parent_path() != std::filesystem::path(first_path[index]).parent_path()) {
      throw base::InputError(path, "/name", "\"" + name + "\" is also the name of " + first_path[index],
                             "another name, or both in one folder as options of one cluster");
    }
    auto& list = request.clusters[index].options;
    for (const Variant& variant : variants)
      list.push_back(
          {stem + (stem.empty() ? "" : ", ") + variant.name, *load_document(scenario, path, variant.sets).root});
    if (variants.empty()) list.push_back({stem, *documents[i].root});
  }
  if (!baseline.empty()) {
    const auto found = std::find(names.begin(), names.end(), baseline);
    if (found == names.end())
      throw base::InputError("--baseline", "",
                             "no scenario is named \"" + baseline + "\"" + base::suggestion(baseline, names));
    request.baseline = static_cast<std::size_t>(found - names.begin());
  }
  finish(request, first_path, single, scenario, options, context);
}

bool is_curve(const std::vector<std::string>& paths) {
  if (paths.size() != 1) return false;
  const base::JsonDocument document = base::load_json(paths.front());
  return document.root->is_object() && document.root->value("schema", Json()) == "moesim.curve/1";
}

void repeat_curve(const ScenarioOptions& scenario, CurveOptions options, const CLI::App& verb, const std::string& path,
                  Context& context) {
  const base::JsonDocument document = base::load_json(path);
  const base::JsonNode root(document), inputs = root.member("inputs");
  const auto told = [&](const char* name, const char* key, auto& value) {
    if (verb.count(name) == 0) value = static_cast<int>(inputs.member(key).integer(0, 100000));
  };
  told("--batches", "batches", options.batches);
  told("--layers", "layers", options.sampling.layers);
  told("--draws", "draws", options.sampling.draws);
  if (verb.count("--users") == 0) options.users = stored_users(inputs);
  const bool series = root.member("series").boolean();
  planning::CurveRequest request = request_of(scenario, options);
  const base::JsonNode list = inputs.member("scenarios");
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string name = list.at(i).member("cluster").string();
    auto cluster = std::find_if(request.clusters.begin(), request.clusters.end(),
                                [&](const planning::CurveCluster& c) { return c.name == name; });
    if (cluster == request.clusters.end()) {
      request.clusters.push_back({name, {}, runner(path, options.sampling.layers, ""), {}});
      cluster = std::prev(request.clusters.end());
      if (!series) cluster->bound = runner(path, options.sampling.layers, "bound");
    }
    const base::JsonDocument one{path, std::make_shared<Json>(list.at(i).member("scenario").json()), {}};
    cluster->options.push_back({list.at(i).member("option").string(), *scenario.patched(one).root});
    if (name == root.member("baseline").string())
      request.baseline = static_cast<std::size_t>(cluster - request.clusters.begin());
  }
  finish(request, std::vector<std::string>(request.clusters.size(), path), series, scenario, options, context);
}

}  // namespace moesim::cli
