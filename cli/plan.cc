#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/version.h"
#include "cli/checks.h"
#include "cli/curve.h"
#include "planning/capacity.h"
#include "report/capacity.h"

namespace moesim::cli {
namespace {

using base::Json;

struct Options : ScenarioOptions {
  std::vector<std::string> scenarios, vary, prices;
  double requests = 0;
  std::int64_t input_tokens = 0, output_tokens = 0;
  std::string tpot, ttft;
  int batches = 12;
  SamplingOptions sampling;
};

constexpr const char* kSchema = "moesim.capacity/1";

base::Duration duration_of(const char* option, const std::string& text) {
  try {
    const base::Duration duration = base::parse_duration(text);
    if (duration.value() > 0) return duration;
  } catch (const std::invalid_argument&) {
  }
  throw base::InputError(option, "", "\"" + text + "\"", "a time above 0 with its unit, such as \"50 ms\"");
}

// "NAME=2.5" each.
std::map<std::string, double> read_prices(const std::vector<std::string>& texts) {
  std::map<std::string, double> prices;
  for (const std::string& text : texts) {
    const std::size_t equals = text.rfind('=');
    char* end = nullptr;
    const double price = equals == std::string::npos ? 0 : std::strtod(text.c_str() + equals + 1, &end);
    if (equals == std::string::npos || equals == 0 || end == text.c_str() + equals + 1 || *end != '\0' ||
        !(price > 0) || !std::isfinite(price))
      throw base::InputError("--price", "", "\"" + text + "\"",
                             "NAME=PRICE of a GPU for an hour, such as \"HGX H200=2.5\"");
    prices[text.substr(0, equals)] = price;
  }
  return prices;
}

// What is asked, and of which scenarios.
struct Inputs {
  planning::CapacityRequest request;
  std::vector<std::string> files;  // [kinds] beside which the paths of their scenarios are
  int layers = 0;
};

void add_option(Inputs& in, const std::string& name, const std::string& option, const std::string& file,
                const Json& scenario) {
  const base::JsonDocument document{file, std::make_shared<Json>(scenario), {}};
  const base::JsonNode root(document);
  if (const auto step = root.member("step"); step.json().is_object() && step.json().contains("phase"))
    if (const auto phase = step.member("phase"); phase.json() != "decode")
      phase.fail("makes no output tokens; prompts are added by the load", "\"decode\"");
  auto& kinds = in.request.kinds;
  auto kind = std::find_if(kinds.begin(), kinds.end(), [&](const auto& k) { return k.name == name; });
  if (kind == kinds.end()) {
    kinds.push_back({name, {}, {}, {}});
    in.files.push_back(file);
    kind = std::prev(kinds.end());
  }
  kind->options.push_back({option, scenario});
}

Inputs told(const Options& options) {
  Inputs in;
  std::vector<Variant> variants = variants_of("", options.vary);
  if (variants.empty()) variants.emplace_back();
  std::map<std::string, int> named;
  std::vector<base::JsonDocument> documents;
  const auto name_of = [](const base::JsonDocument& document) {
    return base::JsonNode(document).member("name").string();
  };
  for (const std::string& path : options.scenarios)
    ++named[name_of(documents.emplace_back(load_document(options, path)))];
  for (std::size_t i = 0; i < documents.size(); ++i) {
    const std::string &path = options.scenarios[i], name = name_of(documents[i]);
    const std::string stem = named[name] > 1 ? std::filesystem::path(path).stem().string() : "";
    for (const Variant& variant : variants) {
      const std::string option = stem + (stem.empty() || variant.name.empty() ? "" : ", ") + variant.name;
      add_option(in, name, option, path, *load_document(options, path, variant.sets).root);
    }
  }
  return in;
}

// What a result was made from; the command line counts where it says more.
Inputs stored(Options& options, const CLI::App& verb, const base::JsonDocument& document) {
  const base::JsonNode root(document), inputs = root.member("inputs");
  const auto asked = [&](const char* name) { return verb.count(name) == 0; };
  if (asked("--requests")) options.requests = inputs.member("requests_per_s").number();
  if (asked("--input-tokens")) options.input_tokens = inputs.member("input_tokens").integer(1, 1 << 30);
  if (asked("--output-tokens")) options.output_tokens = inputs.member("output_tokens").integer(1, 1 << 30);
  if (asked("--tpot")) options.tpot = inputs.member("tpot").string();
  if (asked("--ttft")) options.ttft = inputs.member("ttft").string();
  if (asked("--batches")) options.batches = static_cast<int>(inputs.member("batches").integer(2, 1000));
  if (asked("--layers")) options.sampling.layers = static_cast<int>(inputs.member("layers").integer(0, 1024));
  if (asked("--draws")) options.sampling.draws = static_cast<int>(inputs.member("draws").integer(0, 100000));
  Inputs in;
  const base::JsonNode scenarios = inputs.member("scenarios"), prices = inputs.member("prices");
  for (std::size_t i = 0; asked("--price") && i < prices.size(); ++i) options.prices.push_back(prices.at(i).string());
  for (std::size_t i = 0; i < scenarios.size(); ++i) {
    const base::JsonDocument one{document.file, std::make_shared<Json>(scenarios.at(i).member("scenario").json()), {}};
    add_option(in, scenarios.at(i).member("cluster").string(), scenarios.at(i).member("option").string(), document.file,
               *options.patched(one).root);
  }
  return in;
}

Inputs read_inputs(Options& options, const CLI::App& verb) {
  Inputs in;
  std::optional<base::JsonDocument> result;
  if (options.scenarios.size() == 1) {
    base::JsonDocument document = base::load_json(options.scenarios.front());
    if (document.root->is_object() && document.root->value("schema", Json()) == kSchema) result = std::move(document);
  }
  if (result) {
    if (verb.count("--vary") > 0)
      throw base::InputError("--vary", "", "beside a stored result", "the scenarios that it was made of");
    in = stored(options, verb, *result);
  } else {
    for (const char* needed : {"--requests", "--input-tokens", "--output-tokens", "--tpot"})
      if (verb.count(needed) == 0)
        throw base::InputError(needed, "", "is missing",
                               "the load and the time that it may take: --requests 20 --input-tokens 4096 "
                               "--output-tokens 1024 --tpot \"50 ms\"");
    in = told(options);
  }
  in.layers = options.sampling.layers;
  planning::CapacityRequest& request = in.request;
  request.requests_per_s = options.requests;
  request.shape = {options.input_tokens, options.output_tokens};
  request.per_token = duration_of("--tpot", options.tpot);
  if (!options.ttft.empty()) request.first_token = duration_of("--ttft", options.ttft);
  request.batches = options.batches;
  request.draws.count = options.sampling.draws;
  request.threads = options.threads;
  std::vector<std::string> names;
  for (const planning::CapacityKind& kind : request.kinds) names.push_back(kind.name);
  for (const auto& [name, price] : read_prices(options.prices)) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end())
      throw base::InputError("--price", "", "no scenario is named \"" + name + "\"" + base::suggestion(name, names));
    request.kinds[static_cast<std::size_t>(found - names.begin())].price = price;
  }
  return in;
}

Json inputs_of(const Inputs& in, const Options& options) {
  Json scenarios = Json::array();
  for (const planning::CapacityKind& kind : in.request.kinds)
    for (const planning::CurveOption& option : kind.options)
      scenarios.push_back({{"cluster", kind.name}, {"option", option.name}, {"scenario", option.scenario}});
  return {{"scenarios", scenarios},
          {"requests_per_s", options.requests},
          {"input_tokens", options.input_tokens},
          {"output_tokens", options.output_tokens},
          {"tpot", options.tpot},
          {"ttft", options.ttft},
          {"prices", options.prices},
          {"batches", options.batches},
          {"layers", in.layers},
          {"draws", options.sampling.draws},
          {"seed", in.request.draws.seed}};
}

void run_plan(Options& options, const CLI::App& verb, Context& context) {
  const auto start = std::chrono::steady_clock::now();
  Inputs in = read_inputs(options, verb);
  check_outputs(options.json);
  std::optional<Progress> progress(std::in_place, context.terminal, "planning", "steps");
  for (std::size_t k = 0; k < in.request.kinds.size(); ++k) {
    const auto steps = std::make_shared<planning::StepRunner>(in.layers);
    in.request.kinds[k].run =
        counted([steps, file = in.files[k]](const Json& scenario) { return (*steps)(file, scenario); }, *progress);
  }
  results::Capacity capacity = planning::plan_capacity(in.request);
  std::vector<std::pair<std::string, Json>> checks;  // each kind's steps without prompts at its operating point
  for (const results::CapacityChoice& choice : capacity.choices) {
    if (!choice.unreachable.empty()) continue;
    for (std::size_t k = 0; k < in.request.kinds.size(); ++k)
      for (const planning::CurveOption& option : in.request.kinds[k].options)
        if (in.request.kinds[k].name == choice.name && option.name == choice.option)
          checks.emplace_back(in.files[k],
                              planning::serving_scenario(option.scenario, in.request.shape, choice.near.step.batch, 0));
  }
  if (!checks.empty()) capacity.sampling = sampling_words(in.layers, checks);
  capacity.not_modelled.emplace_back(
      "bursts and queues: requests come in evenly, and nothing is kept free for more of them; first tokens of loaded "
      "servers were measured to take several times as long (docs/end-to-end.md)");
  capacity.not_modelled.emplace_back("prefill and decode on separate GPUs; reuse of cached prompts");
  capacity.version = base::version();
  capacity.inputs = inputs_of(in, options).dump();
  progress.reset();
  tell(report::text(capacity), results::to_json(capacity), start, options, context);
}

}  // namespace

void add_plan(CLI::App& program, Context& context) {
  const auto options = std::make_shared<Options>();
  CLI::App* verb =
      program.add_subcommand("plan", "How many GPUs of which cluster serve a load of requests within given times");
  verb->add_option("SCENARIO", options->scenarios,
                   "Decode steps of whole models, one for each kind of instance (those of one name are options of one "
                   "kind); or a result file to repeat")
      ->required();
  verb->add_option("--requests", options->requests, "Load: requests per second")->check(number_in(1e-9, 1e9));
  verb->add_option("--input-tokens", options->input_tokens, "Of a request: tokens of its prompt")
      ->check(whole_number_in(1, 1 << 30));
  verb->add_option("--output-tokens", options->output_tokens, "Of a request: tokens to be generated")
      ->check(whole_number_in(1, 1 << 30));
  verb->add_option("--tpot", options->tpot, "Mean time per output token, at most, such as \"50 ms\"");
  verb->add_option("--ttft", options->ttft, "Mean time to the first token without a queue, at most, such as \"2 s\"");
  verb->add_option("--price", options->prices,
                   "NAME=PRICE of a GPU of that scenario for an hour; with a price for all, the cheapest comes first")
      ->allow_extra_args(false);
  verb->add_option("--vary", options->vary,
                   "Try each value as an option of each kind: path=value,value,..., e.g. plan.tp=1,2,4")
      ->allow_extra_args(false);
  verb->add_option("--batches", options->batches, "Batches to run of each option, at most, beside those near the best")
      ->check(whole_number_in(2, 1000));
  options->add_to(*verb);
  options->sampling.add_to(*verb);
  verb->footer(
      "Example: moesim plan examples/6*.json --requests 40 --input-tokens 2048 --output-tokens 512 --tpot \"50 ms\"\n"
      "         moesim plan examples/6*.json --requests 40 --input-tokens 2048 --output-tokens 512 --tpot \"50 ms\" "
      "--ttft \"2 s\" --price \"GB200 NVL72=4\" --price \"9 x HGX H200=2.5\"");
  verb->callback([options, verb, &context] {
    context.action = [options, verb, &context] { run_plan(*options, *verb, context); };
  });
}

}  // namespace moesim::cli
