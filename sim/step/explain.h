// Why a step took its time: phases, critical path, what binds, and what each link carried.
#pragma once

#include <span>

#include "results/result.h"
#include "results/timeline.h"
#include "sim/step/moe_layer.h"
#include "sim/step/sharing.h"
#include "sim/step/waiting.h"

namespace moesim::step {

// The phase of a fused kernel, and how its tasks' names begin.
inline constexpr const char* kFusedPhase = "fused kernel";

// An exchange of tokens, for its phase: events and traffic of one part of the graph.
struct ExchangeOfTokens {
  const lowering::LoweredExchange* lowered = nullptr;
  std::size_t part = 0;
  const workloads::Traffic* traffic = nullptr;
  base::Bytes bytes_per_token;
  bool reversed = false;
  const lowering::MoeTokens* gathered = nullptr;  // where every token goes to all ranks, needed there or not
};
// Of a layer's dispatch, or its combine.
ExchangeOfTokens exchange_of_tokens(const MoeLayer& layer, const MoeLayerTasks& tasks, bool combine);

// Tells phases and causes of one run of a graph. All must outlive it.
class Explainer {
 public:
  Explainer(const StepGraph& step, const results::Timeline& timeline);

  results::Phase exchange_phase(const std::string& name, const ExchangeOfTokens& exchange) const;
  // A collective among all its ranks.
  results::Phase collective_phase(const std::string& name, const Meeting& meeting) const;
  // `loads`: [ranks] what the ranks have to do, or empty.
  results::Phase compute_phase(const std::string& name, std::span<const engine::ComputeEvents> computes,
                               std::span<const double> loads) const;
  // Fills critical_path, binding and the phases' shares of the path; a phase that is not there yet is added. What binds
  // a phase, or the whole, is the kind of resource that most of its time on the path goes to.
  //
  // A step of the critical path that is a transfer is bound by the resource on its route that was busiest (the
  // exchange's bytes over raw rate times the time from the first start to the last drain of the flows that use it), or
  // by latency where that makes up more than half of the step; where other phases have a part of the resource, it names
  // them, and a note among the assumptions says what that may do. A compute is bound by tensor cores or HBM, whichever
  // its model names, or by its launch.
  void explain_path(results::Result& result) const;
  std::vector<results::LinkUse> links() const;

 private:
  double at(engine::EventId event) const { return timeline_->event[event.index()].value(); }
  double network_bytes(std::size_t part) const;
  // `hot`: the rank with most bytes, which takes `time`.
  results::Skew skew(const ExchangeOfTokens& exchange, std::size_t hot, base::Duration time) const;
  results::Binding hot_link(std::size_t part) const;
  results::CriticalStep compute_step(std::size_t index, base::Duration start, base::Duration end) const;
  results::CriticalStep transfer_step(std::size_t index, std::size_t flow_index, bool delivered, base::Duration start,
                                      base::Duration end) const;
  const std::string& name(const StepPart& part, std::int32_t rank) const;

  const StepGraph* step_;
  const results::Timeline* timeline_;
  Sharing sharing_;
  std::vector<std::string> kind_;  // [resources] of links and thread blocks
};

// Adds a phase of another layer or micro-batch to a sum: times and bytes add up; imbalance and rates are the highest.
// The sum's share of the critical path and what binds it are left alone.
void add_to_phase(const results::Phase& phase, results::Phase& sum);

// Fills phases, critical_path, binding and links of `result` from a layer's run.
void explain(const MoeLayer& layer, const MoeLayerGraph& lowered, const results::Timeline& timeline,
             results::Result& result);

}  // namespace moesim::step
