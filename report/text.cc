#include "report/text.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"
#include "report/table.h"

namespace moesim::report {
namespace {

using results::Binding;
using results::Comparison;
using results::Phase;
using results::Result;

constexpr std::size_t kWidth = 118;  // of a comparison's table, as that of wrapped lines
constexpr double kNoise = 1e-6;      // of a time: less than that is rounding

std::string percent(double fraction) { return base::format_number(100 * fraction, fraction < 0.0995 ? 2 : 3) + " %"; }

std::string factor(double value) {
  const int digits = value >= 0.995 && value < 9.995 ? 3 : value < 99.95 ? 3 : 4;
  return base::format_number(value, digits) + "x";
}

// JSON that may break between two members of an object.
std::string breakable(std::string text) {
  for (std::size_t at = 0; (at = text.find(",\"", at)) != std::string::npos;) text.replace(at, 2, ", \"");
  return text;
}

std::string rate(double per_second) {
  const std::string unit = per_second >= 1e6 ? " M" : per_second >= 1e3 ? " k" : " ";
  const double scale = per_second >= 1e6 ? 1e6 : per_second >= 1e3 ? 1e3 : 1;
  return base::format_number(per_second / scale, 3) + (unit == " " ? "" : unit);
}

std::string binding_words(const Binding& binding) {
  if (binding.what.empty()) return "nothing";
  if (binding.kind == "latency") return binding.what + " (" + percent(binding.utilisation) + " of the time)";
  if (binding.kind == "launch") return binding.what + " (" + percent(binding.utilisation) + " of the time)";
  const bool link = binding.kind != "hbm" && binding.kind != "tensor" && binding.kind != "thread blocks";
  return (link ? binding.kind + " link " : "") + binding.what + " (" + percent(binding.utilisation) + " busy" +
         (binding.shared.empty() ? "" : ", shared with " + binding.shared) + ")";
}

std::string why(const Result& result) {
  MOESIM_CHECK(!result.phases.empty(), "a result without phases");
  const auto longest = std::max_element(result.phases.begin(), result.phases.end(),
                                        [](const Phase& a, const Phase& b) { return a.critical < b.critical; });
  std::string text = "the longest part of the critical path is " + longest->name + " (" +
                     percent(longest->critical / result.total) + "), bound by " + binding_words(longest->binding);
  if (longest->imbalance >= 1.05) text += "; the busiest GPU has " + factor(longest->imbalance) + " the mean load";
  return text;
}

// "+- 12 %", or "no error bar".
std::string interval(double error) { return error > 0 ? "+- " + percent(error) : "no error bar"; }

std::string how_sure(const std::vector<Result>& results, const std::vector<std::string>& assumptions) {
  if (assumptions.empty()) return "";
  std::string text;
  const auto known =
      std::count_if(results.begin(), results.end(), [](const Result& result) { return result.error > 0; });
  if (known > 0) {
    text =
        "80 % intervals come from what the kernels' models missed on measurements that they were not fitted to, the "
        "parts of a layer taken as independent";
    if (known == 1 && results.size() == 1) text = interval(results.front().error) + " (80 % interval). " + text;
  } else {
    text = "no error bar: a part of the time is not calibrated, and real kernels are slower than that";
  }
  return list("How sure: " + text + ". Assumed:", assumptions);
}

std::string phase_time(const Result& result, const std::string& name) {
  for (const Phase& phase : result.phases) {
    if (phase.name != name) continue;
    if (phase.critical > base::Duration(0)) return base::to_string(phase.critical);
    return phase.slowest_rank > base::Duration(0) ? "hidden (" + base::to_string(phase.slowest_rank) + ")" : "0 us";
  }
  return "-";
}

const Phase* find(const Result& result, const std::string& name) {
  const auto found =
      std::find_if(result.phases.begin(), result.phases.end(), [&](const Phase& p) { return p.name == name; });
  return found == result.phases.end() ? nullptr : &*found;
}

template <class Cell>
void add_row(Table& table, const Comparison& comparison, const std::string& label, Cell cell) {
  std::vector<std::string> row{label};
  for (const Result& result : comparison.results) row.push_back(cell(result));
  table.add_row(std::move(row));
}

std::string engine_line(const Result& result) {
  std::string text = "engine " + result.provenance.engine;
  if (result.provenance.tolerance > 0)
    text += " (batched, tolerance " + base::format_number(result.provenance.tolerance) + ")";
  if (result.batching) {
    const results::BatchingError& error = *result.batching;
    text += "; against an exact run of " + error.sample + " a flow's end is off by " + percent(error.mean_flow) +
            " on average and at most " + percent(error.largest_flow) + ", the end by " + percent(error.total);
  }
  return text;
}

const results::LayerTime& slowest_layer(const Result& result) {
  return *std::max_element(result.layers.begin(), result.layers.end(),
                           [](const auto& a, const auto& b) { return a.total < b.total; });
}

std::string layers_line(const Result& result) {
  const auto& layers = result.layers;
  const auto fastest =
      std::min_element(layers.begin(), layers.end(), [](const auto& a, const auto& b) { return a.total < b.total; });
  const results::LayerTime& slowest = slowest_layer(result);
  return "  a layer takes " + base::to_string(fastest->total) + " (layer " + std::to_string(fastest->layer) + ") to " +
         base::to_string(slowest.total) + " (layer " + std::to_string(slowest.layer) + "), on average " +
         base::to_string(result.total / static_cast<double>(layers.size())) + "\n";
}

// What the busiest GPU of an exchange does to the others; nothing where all have about the same.
std::string skew_line(const Phase& phase) {
  const results::Skew& skew = phase.skew;
  if (skew.gpu.empty() || phase.imbalance < 1.05) return "";
  std::string line = "  Skew in " + phase.name + ": " + skew.gpu + " has " + factor(phase.imbalance) +
                     " the mean bytes and is done after " + base::to_string(skew.time) +
                     "; the other GPUs wait for the last one for " + base::to_string(skew.others_wait) + " on average";
  if (!skew.link.what.empty()) line += "; the hot link is " + binding_words(skew.link);
  return wrap(line + ".", 4);
}

// Notes of several results once each, in order of appearance; what not all share says whose it is.
std::vector<std::string> merged(const Comparison& comparison, std::vector<std::string> Result::*notes) {
  std::vector<std::string> merged;
  std::set<std::string> seen;
  for (const Result& result : comparison.results) {
    for (const std::string& note : result.*notes) {
      if (!seen.insert(note).second) continue;
      std::string owners;
      bool all = true;
      for (const Result& other : comparison.results) {
        const bool has = std::find((other.*notes).begin(), (other.*notes).end(), note) != (other.*notes).end();
        all = all && has;
        if (has) owners += (owners.empty() ? "" : ", ") + other.name;
      }
      merged.push_back(all ? note : owners + ": " + note);
    }
  }
  return merged;
}

// The answer of a whole model's step.
std::string serving_text(const Result& result) {
  const results::Serving& serving = *result.serving;
  const std::string least = result.provenance.engine == "bound" ? "at least " : "";
  std::string out = "  " + serving.plan + (serving.plan.empty() ? "" : ": ") + "a step takes " + least +
                    base::to_string(result.total) + (result.error > 0 ? " " + interval(result.error) : "") + "\n";
  if (serving.tpot > base::Duration(0)) {
    out += "  " + rate(serving.tokens_per_s_per_user) + " tokens/s/user (" + base::to_string(serving.tpot) +
           " per output token), " + rate(serving.output_tokens_per_s_per_gpu) + " output tokens/s/GPU, " +
           std::to_string(serving.sequences) + " sequences\n";
    if (serving.tokens_per_step > 1)
      out += "  " + base::format_number(serving.tokens_per_step) +
             " tokens per step of a sequence, with accepted drafts\n";
  }
  if (serving.prefill_tokens > 0) out += "  " + rate(serving.prefill_tokens_per_s_per_gpu) + " prefill tokens/s/GPU\n";
  out += "  exposed communication " + base::to_string(serving.exposed) + " (" +
         percent(serving.exposed / result.total) + "), launches and start-ups on the critical path " +
         base::to_string(serving.launch) + " (" + percent(serving.launch / result.total) + ")\n";
  if (serving.waiting > result.total * kNoise)
    out += "  a GPU waits " + base::to_string(serving.waiting) + " (" + percent(serving.waiting / result.total) +
           ") for slower ones, on average\n";
  if (serving.memory) {
    const results::MemoryUse& m = *serving.memory;
    const base::Bytes all = m.weights + m.caches + m.activations + m.communication + m.other;
    out += wrap("  memory: a GPU holds " + base::to_string(all) + " of " + base::to_string(m.usable) + " (weights " +
                    base::to_string(m.weights) + ", caches " + base::to_string(m.caches) + ", activations " +
                    base::to_string(m.activations) + ", communication " + base::to_string(m.communication) +
                    "); at most " + std::to_string(m.largest_batch) + " sequences per copy of attention fit" +
                    (serving.batch > 0 && serving.prefill_tokens > 0 ? " beside the prompts" : ""),
                4);
  }
  return out;
}

// "gate  3.1 ms": the parts of a long critical path are those of its phases; its longest steps say the rest.
std::string path_text(const Result& result) {
  constexpr std::size_t kShown = 12;
  std::vector<const results::CriticalStep*> steps;
  for (const results::CriticalStep& step : result.critical_path) steps.push_back(&step);
  const bool cut = steps.size() > kShown;
  std::string out;
  if (cut) {
    std::stable_sort(steps.begin(), steps.end(),
                     [](const auto* a, const auto* b) { return a->end - a->start > b->end - b->start; });
    steps.resize(kShown);
    std::stable_sort(steps.begin(), steps.end(), [](const auto* a, const auto* b) { return a->start < b->start; });
    out = "(the longest " + std::to_string(kShown) + " of " + std::to_string(result.critical_path.size()) + " steps)\n";
  }
  for (const results::CriticalStep* step : steps)
    out += wrap("  " + base::to_string(step->start) + " to " + base::to_string(step->end) + "  " + step->what +
                    (step->binding.what == step->what ? "" : ", bound by " + binding_words(step->binding)),
                6);
  return out;
}

}  // namespace

std::string text(const Result& result) {
  std::string out = wrap(result.name + ": " + result.scope + ", on " + result.cluster + " (" +
                             std::to_string(result.gpus) + " GPU" + (result.gpus == 1 ? "" : "s") + ")",
                         4);
  const bool several = result.layers.size() > 1;
  const bool bound_only = result.provenance.engine == "bound";
  if (result.serving) out += serving_text(result);
  if (!result.serving)
    out += std::string("  takes ") + (bound_only ? "at least " : "") + base::to_string(result.total) +
           (result.error > 0 ? " " + interval(result.error) : "") + ": " + rate(result.tokens_per_s_per_gpu) +
           " tokens/s/GPU of " + (several ? "these layers" : "this layer") + (bound_only ? " at most" : "") + "\n";
  out += "  bound " + base::to_string(result.lower_bound) +
         " (closed form: no schedule on these links and GPUs takes less)" +
         (result.total > base::Duration(0) ? ", " + percent(result.lower_bound / result.total) + " of it" : "") + "\n";
  if (several) out += layers_line(result);
  out += "\n";
  out += wrap("Why: " + why(result) + ".", 5) + "\n";

  Table phases({"phase", "critical path", "fastest GPU", "mean GPU", "of it waiting", "slowest", "sent by all",
                "busiest GPU", "max/mean load"});
  for (const Phase& phase : result.phases) {
    const bool transfer = phase.sent.value() > 0, waits = phase.mean_late > phase.mean_rank * kNoise;
    phases.add_row({phase.name, base::to_string(phase.critical), base::to_string(phase.fastest_rank),
                    base::to_string(phase.mean_rank), waits ? base::to_string(phase.mean_late) : "-",
                    base::to_string(phase.slowest_rank), transfer ? base::to_string(phase.sent) : "-",
                    transfer ? base::to_string(phase.per_gpu) : "-", base::format_number(phase.imbalance)});
  }
  out += phases.text();
  for (const Phase& phase : result.phases) out += skew_line(phase);
  out += std::string("\nCritical path") +
         (several ? " of layer " + std::to_string(slowest_layer(result).layer) + ", the slowest" : "") + ":\n";
  out += path_text(result);
  if (!result.links.empty()) {
    Table links({"busiest links", "kind", "raw rate", "carried", "busy"});
    for (std::size_t i = 0; i < std::min<std::size_t>(5, result.links.size()); ++i) {
      const results::LinkUse& link = result.links[i];
      links.add_row(
          {link.name, link.kind, base::to_string(link.raw), base::to_string(link.bytes), percent(link.utilisation)});
    }
    out += "\n" + links.text();
  }
  out += "\n" + how_sure({result}, result.assumptions);
  out += list("Not in it:", result.not_modelled);
  out += list("Warnings:", result.warnings);
  out += wrap("Run by " + engine_line(result) + "; routing: " + breakable(result.provenance.routing), 2);
  return out;
}

std::string text(const Comparison& comparison) {
  const Result& base = comparison.results[comparison.baseline];
  const bool whole = base.serving.has_value();
  const std::string of = whole ? "" : base.layers.size() > 1 ? " of the layers" : " of the layer";
  std::string out = wrap("Speedup in tokens/s/GPU of " + base.scope + ", against " + base.name + ":", 2) + "\n";
  std::vector<std::string> header{""};
  for (const Result& result : comparison.results) header.push_back(result.name);
  Table table(std::move(header));
  std::size_t column = 0;
  add_row(table, comparison, "speedup", [&](const Result&) { return factor(comparison.speedup[column++]); });
  // Of the quotient. It is narrower where both run the same kernels, which err alike in both.
  add_row(table, comparison, "  80 % interval, errors unrelated", [&](const Result& r) {
    const double width = std::hypot(std::log1p(r.error), std::log1p(base.error));
    return &r == &base || width == 0 ? std::string("-") : "+- " + percent(std::expm1(width));
  });
  add_row(table, comparison, "tokens/s/GPU" + of, [](const Result& r) { return rate(r.tokens_per_s_per_gpu); });
  const auto serving = [&](const std::string& label, auto cell) {
    add_row(table, comparison, label, [&](const Result& r) { return r.serving ? cell(*r.serving) : std::string("-"); });
  };
  if (whole) {
    serving("tokens/s/user", [](const results::Serving& s) {
      return s.tokens_per_s_per_user > 0 ? rate(s.tokens_per_s_per_user) : std::string("-");
    });
    serving("time per output token", [](const results::Serving& s) {
      return s.tpot > base::Duration(0) ? base::to_string(s.tpot) : std::string("-");
    });
    serving("prefill tokens/s/GPU", [](const results::Serving& s) {
      return s.prefill_tokens > 0 ? rate(s.prefill_tokens_per_s_per_gpu) : std::string("-");
    });
    serving("plan", [](const results::Serving& s) { return s.plan; });
    serving("sequences", [](const results::Serving& s) { return std::to_string(s.sequences); });
  }
  add_row(table, comparison, whole ? "GPUs" : "GPUs (= EP degree)",
          [](const Result& r) { return std::to_string(r.gpus); });
  add_row(table, comparison, whole ? std::string("time of the step") : "time" + of,
          [](const Result& r) { return base::to_string(r.total); });
  add_row(table, comparison, "  bound", [](const Result& r) { return base::to_string(r.lower_bound); });
  add_row(table, comparison, "  80 % interval",
          [](const Result& r) { return r.error > 0 ? "+- " + percent(r.error) : std::string("-"); });
  std::vector<std::string> phases;  // of any result, in order
  for (const Result& result : comparison.results)
    for (const Phase& phase : result.phases)
      if (std::find(phases.begin(), phases.end(), phase.name) == phases.end()) phases.push_back(phase.name);
  for (const std::string& phase : phases)
    add_row(table, comparison, "  " + phase, [&](const Result& r) { return phase_time(r, phase); });
  if (whole) {
    serving("exposed communication", [](const results::Serving& s) { return base::to_string(s.exposed); });
    serving("waiting for slower GPUs, mean", [](const results::Serving& s) { return base::to_string(s.waiting); });
    serving("launches on the critical path", [](const results::Serving& s) { return base::to_string(s.launch); });
  }
  for (const char* name : {"dispatch", "combine"}) {
    add_row(table, comparison, std::string("busiest GPU in ") + name, [&](const Result& r) {
      const Phase* phase = find(r, name);
      return phase != nullptr && phase->sent.value() > 0 ? base::to_string(phase->per_gpu) : "-";
    });
  }
  const auto has = [&](base::Bandwidth Phase::*rate) {
    return std::any_of(comparison.results.begin(), comparison.results.end(), [&](const Result& r) {
      return std::any_of(r.phases.begin(), r.phases.end(), [&](const Phase& p) { return (p.*rate).value() > 0; });
    });
  };
  const auto rates = [&](const std::string& label, base::Bandwidth Phase::*rate) {
    if (!has(rate)) return;
    for (const char* name : {"dispatch", "combine"}) {
      add_row(table, comparison, label + " in " + name, [&](const Result& r) {
        const Phase* phase = find(r, name);
        return phase != nullptr && (phase->*rate).value() > 0 ? base::to_string(phase->*rate) : "-";
      });
    }
  };
  rates("logical bandwidth", &Phase::logical);
  rates("NIC bandwidth, on the wire,", &Phase::nic);
  add_row(table, comparison, "expert load, max/mean GPU", [](const Result& r) {
    const Phase* phase = find(r, "experts") != nullptr ? find(r, "experts") : find(r, "fused kernel");
    return phase != nullptr ? base::format_number(phase->imbalance) : "-";
  });
  add_row(table, comparison, "what binds",
          [](const Result& r) { return r.binding.kind.empty() ? "-" : r.binding.kind; });
  add_row(table, comparison, "its utilisation", [](const Result& r) { return percent(r.binding.utilisation); });
  out += table.text(kWidth) + "\nWhy:\n";
  for (const Result& result : comparison.results) out += wrap("  " + result.name + ": " + why(result) + ".", 4);
  out += "\n" + how_sure(comparison.results, merged(comparison, &Result::assumptions));
  out += list("Not in it:", merged(comparison, &Result::not_modelled));
  std::vector<std::string> warnings = comparison.warnings;
  for (std::string& warning : merged(comparison, &Result::warnings)) warnings.push_back(std::move(warning));
  out += list("Warnings:", warnings);
  std::vector<std::string> engines;
  for (const Result& result : comparison.results) engines.push_back(result.name + ": " + engine_line(result));
  out += list("Run by:", engines);
  return out;
}

}  // namespace moesim::report
