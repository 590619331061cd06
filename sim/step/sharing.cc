#include "sim/step/sharing.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace moesim::step {
namespace {

constexpr double kNoticeable = 0.02;  // of a resource

}  // namespace

Sharing::Sharing(const StepGraph& step, const results::Timeline& timeline) : step_(&step), timeline_(&timeline) {
  for (const engine::ExchangeEvents& events : step.graph().exchange_events()) {
    first_.push_back(INFINITY);
    for (std::int32_t rank = 0; rank < events.ranks; ++rank)
      first_.back() = std::min(first_.back(), timeline.event[events.start(rank).index()].value());
    last_.push_back(timeline.event[events.all_done().index()].value());
  }
}

// In the resource's unit.
double Sharing::used(std::size_t exchange, engine::ResourceId resource, double from, double to) const {
  const engine::TaskGraph& graph = step_->graph();
  const engine::Exchange& sent = graph.exchanges()[exchange];
  const std::vector<engine::Flow>& flows = sent.flows;
  double amount = 0;
  for (std::size_t f = 0; f < flows.size(); ++f) {
    const double start = timeline_->event[graph.exchange_events()[exchange].start(flows[f].source).index()].value();
    const double end = timeline_->drained[exchange][f];
    const double within = std::min(end, to) - std::max(start, from);
    if (within <= 0) continue;
    graph.each_use(sent, flows[f], [&](const engine::Use& use) {
      if (use.resource == resource) amount += flows[f].amount * use.per_unit * within / (end - start);
    });
  }
  return amount;
}

std::string Sharing::others(std::size_t exchange, engine::ResourceId resource, base::Duration from,
                            base::Duration to) const {
  if (timeline_->engine == "bound") return "";
  const StepPart& own = step_->part_of_exchange(exchange);
  std::map<std::string, double> amount;  // by phase
  for (std::size_t e = 0; e < first_.size(); ++e) {
    const StepPart& part = step_->part_of_exchange(e);
    if (&part != &own && first_[e] < to.value() && last_[e] > from.value())
      amount[part.phase] += used(e, resource, from.value(), to.value());
  }
  const double noticeable = kNoticeable * step_->graph().resources()[resource.index()].capacity * (to - from).value();
  std::string phases;
  for (const auto& [phase, of_phase] : amount)
    if (of_phase >= noticeable) phases += (phases.empty() ? "" : ", ") + phase;
  return phases;
}

}  // namespace moesim::step
