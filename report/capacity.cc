#include "report/capacity.h"

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "base/units.h"
#include "report/curve_words.h"
#include "report/table.h"

namespace moesim::report {
namespace {

using results::Capacity;
using results::CapacityChoice;

std::string gpus_words(std::int64_t instances, const CapacityChoice& choice) {
  return std::to_string(instances * choice.gpus);
}

// "72 GPUs", "48 to 64 GPUs"
std::string interval_words(const CapacityChoice& choice) {
  if (choice.low == choice.high) return gpus_words(choice.low, choice);
  return gpus_words(choice.low, choice) + " to " + gpus_words(choice.high, choice);
}

std::string asked(const Capacity& capacity) {
  std::string out = "To serve " + number_words(capacity.requests_per_s) + " requests/s of " +
                    std::to_string(capacity.input_tokens) + " input and " + std::to_string(capacity.output_tokens) +
                    " output tokens" + (capacity.model.empty() ? "" : " with " + capacity.model) + ", at most " +
                    base::to_string(capacity.per_token) + " per output token";
  if (capacity.first_token.value() > 0) out += " and " + base::to_string(capacity.first_token) + " to the first token";
  return out;
}

std::string answer(const Capacity& capacity) {
  const CapacityChoice& best = capacity.choices.front();
  if (!best.unreachable.empty())
    return asked(capacity) + ": none of these clusters does, in any number. " + best.name + ": " + best.unreachable +
           ".";
  std::string out = asked(capacity) + ": " + std::to_string(best.all_gpus()) + " GPUs (80 % interval " +
                    interval_words(best) + "), \"" + best.name + "\"" +
                    (best.option.empty() ? "" : " with " + best.option) + " in " + std::to_string(best.instances) +
                    (best.instances == 1 ? " instance of " : " instances of ") + std::to_string(best.gpus);
  if (best.reached < 0.995)
    out += "; these times can be met at all in " + percent_words(best.reached) + " of what the errors leave open";
  if (best.price > 0) out += ", for " + base::format_number(best.price_per_hour()) + " an hour";
  return out + ".";
}

std::string table(const Capacity& capacity) {
  std::vector<const CapacityChoice*> able;
  std::vector<std::string> header{""};
  for (const CapacityChoice& choice : capacity.choices) {
    if (!choice.unreachable.empty()) continue;
    able.push_back(&choice);
    header.push_back(choice.name);
  }
  if (able.empty()) return "";
  Table table(std::move(header));
  const auto row = [&](const std::string& name, const std::function<std::string(const CapacityChoice&)>& cell) {
    std::vector<std::string> cells{name};
    for (const CapacityChoice* choice : able) cells.push_back(cell(*choice));
    table.add_row(std::move(cells));
  };
  const auto any = [&](const std::function<bool(const CapacityChoice&)>& has) {
    return std::any_of(able.begin(), able.end(), [&](const CapacityChoice* choice) { return has(*choice); });
  };
  row("GPUs", [](const CapacityChoice& c) { return std::to_string(c.all_gpus()); });
  row("  80 % interval", [](const CapacityChoice& c) { return interval_words(c); });
  if (any([](const CapacityChoice& c) { return c.reached < 0.995; }))
    row("  chance that the times can be met", [](const CapacityChoice& c) { return percent_words(c.reached); });
  row("instances x GPUs",
      [](const CapacityChoice& c) { return std::to_string(c.instances) + " x " + std::to_string(c.gpus); });
  row("  load of what they could serve", [](const CapacityChoice& c) { return percent_words(c.load); });
  if (any([](const CapacityChoice& c) { return c.price > 0; })) {
    row("price per hour", [](const CapacityChoice& c) {
      return c.price > 0 ? base::format_number(c.price_per_hour()) : std::string("-");
    });
    row("  per million output tokens", [&](const CapacityChoice& c) {
      const double millions = capacity.requests_per_s * static_cast<double>(capacity.output_tokens) * 3600 / 1e6;
      return c.price > 0 ? base::format_number(c.price_per_hour() / millions) : std::string("-");
    });
  }
  row("an instance at its limit:", [](const CapacityChoice&) { return std::string(); });
  row("  requests/s", [](const CapacityChoice& c) { return base::format_number(c.requests_per_s); });
  row("  output tokens/s/GPU", [](const CapacityChoice& c) { return rate_words(c.output_tokens_per_s_per_gpu); });
  row("  requests in each copy of attention", [](const CapacityChoice& c) { return base::format_number(c.batch); });
  row("  time per output token", [](const CapacityChoice& c) { return base::to_string(c.per_token); });
  row("  time to first token, no queue", [](const CapacityChoice& c) { return base::to_string(c.first_token); });
  row("  plan", [](const CapacityChoice& c) { return c.plan; });
  if (any([](const CapacityChoice& c) { return !c.option.empty(); }))
    row("  option", [](const CapacityChoice& c) { return c.option.empty() ? "-" : c.option; });
  row("  limited by", [](const CapacityChoice& c) { return c.limit; });
  return table.text();
}

std::string why(const CapacityChoice& choice) {
  if (!choice.unreachable.empty()) return wrap("  " + choice.name + ": " + choice.unreachable + ".", 4);
  const results::StepRun& step = choice.near.step;
  std::string out = "  " + choice.name + ": ";
  out += choice.limit == "memory"                ? "no more requests fit in memory"
         : choice.limit == "time to first token" ? "with more requests the first token would come too late"
                                                 : "with more requests output tokens would come too slowly";
  out += "; " + percent_words(choice.near.prompt_share) + " of the steps carry prompts, the longest part of these is " +
         step.longest + " (" + percent_words(step.longest_share) + ")";
  if (!step.binding.kind.empty()) out += ", bound by " + step.binding.kind;
  out += ", and communication is exposed for " + percent_words(step.exposed) + " of them.";
  if (choice.instances == 1 && choice.load < 0.5)
    out += " One instance is more than the load needs: smaller ones may do (--vary cluster.nodes=..., plan.gpus=...).";
  std::string text = wrap(out, 4);
  for (const std::string& refused : choice.refused) text += wrap("    an option cannot be: " + refused, 6);
  return text;
}

}  // namespace

std::string text(const Capacity& capacity) {
  std::string out = wrap(answer(capacity), 2) + "\n";
  if (const std::string numbers = table(capacity); !numbers.empty()) out += numbers + "\n";
  out += "Why:\n";
  for (const CapacityChoice& choice : capacity.choices) out += why(choice);
  out += wrap("How sure: 80 % intervals from " + std::to_string(capacity.draws) +
                  " draws of what the kernels' models missed on measurements that they were not fitted to, for the "
                  "plan that is best as things are. " +
                  capacity.sampling,
              2);
  return out + list("Assumed:", capacity.assumptions) + list("Not in it:", capacity.not_modelled) +
         list("Warnings:", capacity.warnings);
}

}  // namespace moesim::report
