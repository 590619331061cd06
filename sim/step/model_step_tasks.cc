#include "sim/step/model_step_tasks.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <optional>

#include "base/error.h"
#include "sim/lowering/tensor_parallel.h"
#include "workloads/layer_parts.h"

namespace moesim::step {
namespace {

using engine::EventId;
using lowering::NcclOp;

constexpr std::int32_t kExpertKernels = 5;  // permute, two products, activation, unpermute: for eager launches
constexpr const char* kCollective = "TP collective";

// One pipeline stage: its ranks by local number, and what is lowered onto them.
struct Stage {
  std::vector<std::int32_t> ranks;  // of the cluster
  topology::Router router;
  lowering::Network network;
  std::vector<lowering::GpuResources> gpus;

  struct Group {
    std::vector<std::int32_t> local;    // ranks of the stage
    std::vector<std::int32_t> cluster;  // the same, of the cluster
    std::unique_ptr<topology::Router> router;
    std::unique_ptr<lowering::Network> network;
  };
  std::vector<Group> copies;  // ranks that share a copy of attention
  Group everybody;

  Stage(StepGraph& graph, const topology::Router& whole, std::vector<std::int32_t> of_cluster)
      : ranks(std::move(of_cluster)), router(whole, ranks), network(graph.network().of_group(router)) {
    for (std::size_t local = 0; local < ranks.size() && !graph.gpus().empty(); ++local) {
      gpus.push_back(graph.gpus()[static_cast<std::size_t>(ranks[local])]);
      gpus.back().rank = static_cast<std::int32_t>(local);
    }
  }
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  Group group(std::vector<std::int32_t> local) const {
    Group made;
    for (const std::int32_t rank : local) made.cluster.push_back(ranks[static_cast<std::size_t>(rank)]);
    made.local = std::move(local);
    made.router = std::make_unique<topology::Router>(router, made.local);
    made.network = std::make_unique<lowering::Network>(network.of_group(*made.router));
    return made;
  }
};

class Builder {
 public:
  Builder(const ModelStep& step, const topology::Router& router, ModelStepTasks& tasks)
      : in_(step),
        out_(tasks),
        graph_(tasks.graph),
        costs_(*step.model, *step.profile, step.plan.tp),
        parts_(workloads::layer_parts(*step.model)) {
    for (std::int32_t s = 0; s < step.plan.pp; ++s) {
      stages_.push_back(std::make_unique<Stage>(graph_, router, workloads::stage_group(step.plan, s)));
      Stage& stage = *stages_.back();
      const auto ranks = static_cast<std::int32_t>(stage.ranks.size());
      std::vector<std::int32_t> all(stage.ranks.size());
      std::iota(all.begin(), all.end(), 0);
      stage.everybody = stage.group(all);
      std::vector<std::vector<std::int32_t>> copies(static_cast<std::size_t>(step.plan.attention_dp));
      for (std::int32_t local = 0; local < ranks; ++local)
        copies[static_cast<std::size_t>(copy_of(stage, local))].push_back(local);
      for (auto& copy : copies) stage.copies.push_back(stage.group(std::move(copy)));
    }
    cut_model_ = *step.model;
    cut_model_.expert_ffn = (cut_model_.expert_ffn + step.plan.moe_tp - 1) / step.plan.moe_tp;
  }

  void build() {
    const std::int32_t batches = in_.micro_batches();
    ready_.assign(static_cast<std::size_t>(batches), {});
    late_start();
    if (in_.overlap == Overlap::TwoBatch) {
      for (stage_ = 0; stage_ < in_.plan.pp; ++stage_) {
        enter_stage(0, batches);
        const auto layers = workloads::stage_layers(in_.plan, *in_.model, stage_);
        for (std::int32_t layer = layers.first; layer < layers.first + layers.count; ++layer) {
          for (std::int32_t b = 0; b < batches; ++b) first_half(layer, b);
          for (std::int32_t b = 0; b < batches; ++b) second_half(layer, b);
        }
        leave_stage(0, batches);
      }
      return;
    }
    for (std::int32_t b = 0; b < batches; ++b) {
      for (stage_ = 0; stage_ < in_.plan.pp; ++stage_) {
        enter_stage(b, b + 1);
        const auto layers = workloads::stage_layers(in_.plan, *in_.model, stage_);
        for (std::int32_t layer = layers.first; layer < layers.first + layers.count; ++layer) {
          first_half(layer, b);
          second_half(layer, b);
        }
        leave_stage(b, b + 1);
      }
      if (b + 1 < batches) ready_[static_cast<std::size_t>(b) + 1] = compute_;
    }
  }

 private:
  Stage& stage() { return *stages_[static_cast<std::size_t>(stage_)]; }
  std::size_t ranks() { return stage().ranks.size(); }
  std::vector<EventId>& ready(std::int32_t batch) { return ready_[static_cast<std::size_t>(batch)]; }
  std::int32_t copy_of(const Stage& stage, std::int32_t local) const {
    return workloads::plan_rank(in_.plan, stage.ranks[static_cast<std::size_t>(local)]).dp;
  }
  lowering::PassTokens tokens_of_copy(std::size_t copy, std::int32_t batch) const {
    lowering::PassTokens pass = in_.tokens[copy][static_cast<std::size_t>(batch)];
    if (drafting_) {
      pass.tokens_per_sequence = 1;
      pass.prefill_tokens = 0;
    }
    return pass;
  }
  lowering::PassTokens tokens(std::size_t local, std::int32_t batch) {
    return tokens_of_copy(static_cast<std::size_t>(copy_of(stage(), static_cast<std::int32_t>(local))), batch);
  }
  // Of those, the ones that a rank routes and dispatches.
  std::int64_t dealt_tokens(std::size_t local, std::int32_t batch) {
    const std::int64_t all = tokens(local, batch).tokens();
    return scattered() ? (all + in_.plan.tp - 1) / in_.plan.tp : all;
  }
  const std::string& name(std::size_t local) { return graph_.names()[static_cast<std::size_t>(stage().ranks[local])]; }
  const lowering::GpuResources* gpu(std::size_t local) { return stage().gpus.empty() ? nullptr : &stage().gpus[local]; }
  bool two_batch() const { return in_.overlap == Overlap::TwoBatch; }
  // Tokens of a copy are dealt over its ranks for the exchange.
  bool scattered() const { return in_.kernel != nullptr && in_.plan.tp > 1; }

  void late_start() {
    if (in_.start_delay.empty()) return;
    graph_.begin("late start");
    for (std::size_t rank = 0; rank < in_.start_delay.size(); ++rank) {
      engine::Compute delay{"late start on " + graph_.names()[rank],
                            static_cast<std::int32_t>(rank),
                            in_.start_delay[rank],
                            base::Duration(0),
                            {}};
      delays_.push_back(graph_.graph().add_compute(std::move(delay), {}).done);
    }
  }

  void enter_stage(std::int32_t first, std::int32_t end) {
    compute_.assign(ranks(), engine::kOrigin);
    communicate_.assign(ranks(), engine::kOrigin);
    for (std::int32_t b = first; b < end; ++b) {
      if (!ready(b).empty()) continue;
      ready(b).assign(ranks(), engine::kOrigin);
      for (std::size_t r = 0; r < ranks() && !delays_.empty() && stage_ == 0; ++r)
        ready(b)[r] = delays_[static_cast<std::size_t>(stage().ranks[r])];
    }
  }

  EventId after(EventId a, EventId b) {
    if (a == b || b == engine::kOrigin) return a;
    if (a == engine::kOrigin) return b;
    const std::array both{a, b};
    return graph_.join(both);
  }

  // One more piece of work on every rank: `of(local)` says how much, `cost` of that what it takes.
  template <class Of, class Cost>
  void work(const char* phase, std::int32_t layer, std::int32_t batch, Of of, Cost cost) {
    graph_.begin(phase, layer, stage().ranks);
    PhaseTasks& tasks = out_.phase(phase);
    auto& events = tasks.computes.emplace_back();
    tasks.stage.push_back(stage_);
    std::optional<decltype(of(std::size_t{0}))> last;  // ranks with as much to do take as long
    lowering::PartCost part;
    for (std::size_t r = 0; r < ranks(); ++r) {
      if (const auto own = of(r); !last || *last != own) {
        last = own;
        part = cost(own);
        tasks.log_error = std::max(tasks.log_error, part.log_error);
        if (in_.launch == Launch::Eager && !in_.profile->ideal)
          part.cost.total = std::max(part.cost.total, kHostLaunch * static_cast<double>(part.kernels));
      }
      const EventId start = after(ready(batch)[r], compute_[r]);
      events.push_back(
          graph_.add(lowering::compute_task(std::string(phase) + " on " + name(r), part.cost, *in_.profile, gpu(r)),
                     std::span(&start, 1)));
      ready(batch)[r] = compute_[r] = events.back().done;
    }
  }

  // Among the ranks of each group at once.
  void collective(const char* phase, std::span<Stage::Group> groups, NcclOp op, std::int32_t layer, std::int32_t batch,
                  bool of_copies) {
    for (std::size_t g = 0; g < groups.size(); ++g) {
      Stage::Group& group = groups[g];
      graph_.begin(phase, layer, group.cluster);
      std::vector<EventId> begin;
      for (const std::int32_t local : group.local) {
        const auto r = static_cast<std::size_t>(local);
        begin.push_back(after(ready(batch)[r], communicate_[r]));
      }
      const auto copy = of_copies ? g : std::size_t{0};
      const auto all = tokens_of_copy(copy, batch).tokens() * (of_copies ? 1 : in_.plan.attention_dp);
      const base::Bytes bytes(static_cast<double>(all) * in_.model->hidden * 2);
      const engine::ExchangeEvents done =
          lowering::tensor_parallel_lower(*group.network, phase, op, bytes, *in_.profile, begin);
      PhaseTasks& tasks = out_.phase(phase);
      tasks.log_error = std::max(tasks.log_error, lowering::tensor_parallel_log_error(*group.router, *in_.profile));
      Meeting meeting{group.cluster, std::move(begin), {}, nullptr, false};
      for (std::size_t i = 0; i < group.local.size(); ++i) {
        const auto r = static_cast<std::size_t>(group.local[i]);
        meeting.done.push_back(done.done(static_cast<std::int32_t>(i)));
        ready(batch)[r] = communicate_[r] = done.done(static_cast<std::int32_t>(i));
        if (!two_batch()) compute_[r] = ready(batch)[r];
      }
      tasks.meetings.push_back(std::move(meeting));
    }
  }
  void of_copies(NcclOp op, std::int32_t layer, std::int32_t batch) {
    if (in_.plan.tp > 1) collective(kCollective, stage().copies, op, layer, batch, true);
  }

  MoeLayer moe_layer(const StepRouting& routing, std::int32_t batch) const {
    MoeLayer layer;
    layer.cluster = in_.cluster;
    layer.model = in_.model;
    layer.profile = in_.profile;
    layer.traffic = &routing.traffic;
    layer.kernel = in_.kernel;
    layer.tokens_per_gpu = (tokens_of_copy(0, batch).tokens() + in_.plan.tp - 1) / in_.plan.tp;
    layer.dispatch_bytes = in_.dispatch_bytes;
    layer.combine_bytes = in_.combine_bytes;
    layer.placement = &routing.placement;
    layer.tokens = &routing.tokens;
    layer.expert_kernel = in_.expert_kernel;
    layer.phase = in_.phase;
    return layer;
  }
  const StepRouting& routing(std::int32_t moe, std::int32_t batch) const {
    return (*in_.routing)[static_cast<std::size_t>(moe)][static_cast<std::size_t>(batch)];
  }
  LayerPlace place(std::int32_t layer) { return {&graph_, &stage().network, stage().gpus, layer, stage().ranks}; }

  // Attention, gate and dispatch; or the whole of a dense layer.
  void first_half(std::int32_t layer, std::int32_t batch) {
    first_half(layer, parts_[static_cast<std::size_t>(layer)], batch);
  }
  void first_half(std::int32_t layer, const workloads::LayerParts& parts, std::int32_t batch) {
    const bool dealt = parts.moe >= 0 && scattered();
    if (parts.attention >= 0) {
      const workloads::Attention& kind = in_.model->attention[static_cast<std::size_t>(parts.attention)];
      work(
          "attention", layer, batch, [&](std::size_t r) { return tokens(r, batch); },
          [&](const lowering::PassTokens& own) { return costs_.attention(kind, own); });
      of_copies(dealt ? NcclOp::ReduceScatter : NcclOp::AllReduce, layer, batch);
    }
    if (parts.dense_ffn) {
      work(
          "dense FFN", layer, batch, [&](std::size_t r) { return tokens(r, batch).tokens(); },
          [&](std::int64_t own) { return costs_.dense_ffn(own); });
      of_copies(NcclOp::AllReduce, layer, batch);
    }
    if (parts.moe < 0) return;
    work(
        "gate", layer, batch, [&](std::size_t r) { return dealt_tokens(r, batch); },
        [&](std::int64_t own) { return costs_.gate(own); });
    const bool shared = in_.model->shared_experts > 0;
    const bool fused = in_.kernel != nullptr && in_.kernel->fused();
    const auto shared_expert = [&] {
      work(
          "shared expert", layer, batch, [&](std::size_t r) { return tokens(r, batch).tokens(); },
          [&](std::int64_t own) { return costs_.shared_expert(own); });
    };
    out_.moe_layers.push_back(std::make_unique<MoeLayerTasks>());
    current_[static_cast<std::size_t>(batch) % current_.size()] = out_.moe_layers.back().get();
    if (in_.kernel == nullptr || fused || in_.overlap == Overlap::None) {
      if (shared) shared_expert();
      if (in_.kernel != nullptr && !fused) dispatch(layer, parts.moe, batch);
      return;
    }
    const std::vector<EventId> gated = ready(batch);
    dispatch(layer, parts.moe, batch);
    if (!shared) return;
    const std::vector<EventId> travelled = ready(batch);
    ready(batch) = gated;
    shared_expert();  // on the compute stream, which the experts wait for
    ready(batch) = travelled;
  }

  void dispatch(std::int32_t layer, std::int32_t moe, std::int32_t batch) {
    std::vector<EventId> begin;
    for (std::size_t r = 0; r < ranks(); ++r) begin.push_back(after(ready(batch)[r], communicate_[r]));
    MoeLayerTasks& tasks = *out_.moe_layers.back();
    const MoeLayer in = moe_layer(routing(moe, batch), batch);
    add_dispatch(place(layer), in, begin, tasks);
    for (std::size_t r = 0; r < ranks(); ++r)
      ready(batch)[r] = communicate_[r] = tasks.dispatch.events.done(static_cast<std::int32_t>(r));
    PhaseTasks& phase = out_.phase("dispatch");
    phase.exchanges.push_back(exchange_of_tokens(in, tasks, false));
    phase.meetings.push_back(meeting_of(phase.exchanges.back()));
    phase.log_error = std::log1p(moe_phase_error(in, stage().router, "dispatch"));
  }

  Meeting meeting_of(const ExchangeOfTokens& exchange) {
    const bool gathers = exchange.gathered != nullptr;
    Meeting meeting{
        stage().ranks, exchange.lowered->start, {}, gathers ? nullptr : exchange.traffic, exchange.reversed};
    for (std::size_t r = 0; r < ranks(); ++r)
      meeting.done.push_back(exchange.lowered->events.done(static_cast<std::int32_t>(r)));
    return meeting;
  }

  // Experts and combine.
  void second_half(std::int32_t layer, std::int32_t batch) {
    second_half(layer, parts_[static_cast<std::size_t>(layer)].moe, batch);
  }
  void second_half(std::int32_t layer, std::int32_t moe, std::int32_t batch) {
    if (moe < 0) return;
    const StepRouting& route = routing(moe, batch);
    if (in_.kernel == nullptr) {
      replicated_experts(layer, route, batch);
      return;
    }
    MoeLayerTasks& tasks = *current_[static_cast<std::size_t>(batch) % current_.size()];
    const MoeLayer in = moe_layer(route, batch);
    const std::vector<double> loads(route.traffic.rank_selections.begin(), route.traffic.rank_selections.end());
    if (in_.kernel->fused()) {
      std::vector<EventId> begin;
      for (std::size_t r = 0; r < ranks(); ++r)
        begin.push_back(after(after(ready(batch)[r], compute_[r]), communicate_[r]));
      add_fused(place(layer), in, begin, tasks);
      record(kFusedPhase, tasks.fused, loads, moe_phase_error(in, stage().router, kFusedPhase));
      for (std::size_t r = 0; r < ranks(); ++r) ready(batch)[r] = compute_[r] = communicate_[r] = tasks.fused[r].done;
    } else {
      add_experts(place(layer), in, compute_, tasks);
      record("experts", tasks.experts, loads, moe_phase_error(in, stage().router, "experts"));
      std::vector<EventId> begin;
      for (std::size_t r = 0; r < ranks(); ++r) {
        compute_[r] = tasks.experts[r].done;
        begin.push_back(after(tasks.experts[r].done, communicate_[r]));
      }
      add_combine(place(layer), in, begin, tasks);
      PhaseTasks& phase = out_.phase("combine");
      phase.exchanges.push_back(exchange_of_tokens(in, tasks, true));
      phase.meetings.push_back(meeting_of(phase.exchanges.back()));
      phase.log_error = std::log1p(moe_phase_error(in, stage().router, "combine"));
      for (std::size_t r = 0; r < ranks(); ++r) {
        ready(batch)[r] = communicate_[r] = tasks.combine.events.done(static_cast<std::int32_t>(r));
        if (!two_batch()) compute_[r] = ready(batch)[r];
      }
    }
    from_latent(layer, batch, 1);
    if (scattered()) of_copies(NcclOp::AllGather, layer, batch);
  }

  // Back to the hidden size, where tokens travel with fewer elements; a rank has those of `copies` copies.
  void from_latent(std::int32_t layer, std::int32_t batch, std::int32_t copies) {
    if (in_.model->latent_width == 0) return;
    work(
        "latent projection", layer, batch, [&](std::size_t r) { return copies * dealt_tokens(r, batch); },
        [&](std::int64_t own) { return costs_.from_latent(own); });
  }

  void record(const char* phase, const std::vector<engine::ComputeEvents>& events, std::vector<double> loads,
              double error) {
    PhaseTasks& tasks = out_.phase(phase);
    tasks.computes.push_back(events);
    tasks.stage.push_back(stage_);
    tasks.loads.push_back(std::move(loads));
    tasks.log_error = std::log1p(error);
  }

  // Every rank has all tokens, gathered where there are several copies of attention, and all add up what their parts of
  // the experts give.
  void replicated_experts(std::int32_t layer, const StepRouting& route, std::int32_t batch) {
    const auto slots = static_cast<std::int32_t>(route.slot_tokens.size());
    const auto per_rank = static_cast<std::size_t>(slots / in_.plan.ep);
    lowering::ExpertLayer experts;
    experts.model = &cut_model_;
    experts.profile = in_.profile;
    experts.kernel = in_.expert_kernel;
    experts.phase = in_.phase;
    experts.tokens = tokens_of_copy(0, batch).tokens() * in_.plan.attention_dp;
    experts.slots = slots;
    experts.parameters = lowering::expert_parameters(experts);
    const bool one_copy = in_.plan.attention_dp == 1;
    if (!one_copy) collective(kCollective, std::span(&stage().everybody, 1), NcclOp::AllGather, layer, batch, false);
    graph_.begin("experts", layer, stage().ranks);
    std::vector<engine::ComputeEvents> events;
    std::vector<double> loads;
    for (std::size_t r = 0; r < ranks(); ++r) {
      const auto ep = static_cast<std::size_t>(workloads::plan_rank(in_.plan, stage().ranks[r]).ep);
      const auto own = std::span(route.slot_tokens).subspan(ep * per_rank, per_rank);
      loads.push_back(static_cast<double>(std::accumulate(own.begin(), own.end(), std::int64_t{0})));
      auto task = lowering::expert_layer_compute("experts on " + name(r), experts, own, gpu(r));
      if (in_.launch == Launch::Eager && !in_.profile->ideal)
        task.compute.alone = std::max(task.compute.alone, kHostLaunch * kExpertKernels - task.compute.launch);
      const EventId start = after(ready(batch)[r], compute_[r]);
      events.push_back(graph_.add(std::move(task), std::span(&start, 1)));
      ready(batch)[r] = compute_[r] = events.back().done;
    }
    record("experts", events, std::move(loads), std::expm1(lowering::expert_log_error(experts)));
    from_latent(layer, batch, in_.plan.attention_dp);
    if (ranks() > 1) collective(kCollective, std::span(&stage().everybody, 1), NcclOp::AllReduce, layer, batch, false);
  }

  void leave_stage(std::int32_t first, std::int32_t end) {
    for (std::int32_t b = first; b < end; ++b) {
      if (stage_ + 1 < in_.plan.pp) {
        send_on(b);
        continue;
      }
      head(b);
      for (std::int32_t d = 0; d < in_.drafts; ++d) draft(d, b);
    }
  }

  void head(std::int32_t batch) {
    work(
        "head", -1, batch, [&](std::size_t r) { return tokens(r, batch).scored(); },
        [&](std::int64_t own) { return costs_.head(own); });
  }

  // Another layer of the same kind on one token per sequence, by a model of its own.
  void draft(std::int32_t number, std::int32_t batch) {
    const auto like = std::find_if(parts_.rbegin(), parts_.rend(), [](const auto& p) { return p.attention >= 0; });
    const workloads::LayerParts parts{like->attention, in_.model->moe_layers() + number, false};
    const std::int32_t last = in_.model->layers - 1;
    drafting_ = true;
    first_half(last, parts, batch);
    second_half(last, parts.moe, batch);
    head(batch);
    drafting_ = false;
  }

  // The hidden states to the next stage, each tensor-parallel rank its share.
  void send_on(std::int32_t batch) {
    Stage& from = stage();
    const Stage& to = *stages_[static_cast<std::size_t>(stage_) + 1];
    const auto n = static_cast<std::int32_t>(from.ranks.size());
    std::vector<std::int32_t> both = from.ranks;
    both.insert(both.end(), to.ranks.begin(), to.ranks.end());
    graph_.begin("send to next stage", -1, both);
    engine::Exchange exchange;
    exchange.name = "send to next stage";
    exchange.ranks = 2 * n;
    std::vector<EventId> begin(both.size(), engine::kOrigin);
    for (std::int32_t r = 0; r < n; ++r) {
      const auto i = static_cast<std::size_t>(r);
      begin[i] = ready(batch)[i];
      const double bytes = static_cast<double>(tokens(i, batch).tokens()) * in_.model->hidden * 2 / in_.plan.tp;
      if (bytes > 0) exchange.flows.push_back({graph_.network().path(from.ranks[i], to.ranks[i]), r, n + r, bytes});
    }
    const auto events = graph_.graph().add_exchange(std::move(exchange), begin);
    out_.phase("send to next stage").log_error = 0.1;  // of raw links, assumed
    for (std::int32_t r = 0; r < n; ++r) ready(batch)[static_cast<std::size_t>(r)] = events.done(n + r);
  }

  const ModelStep& in_;
  ModelStepTasks& out_;
  StepGraph& graph_;
  lowering::DecoderCosts costs_;
  std::vector<workloads::LayerParts> parts_;  // [layers]
  workloads::Model cut_model_;                // a rank's part of each expert
  std::vector<std::unique_ptr<Stage>> stages_;
  std::int32_t stage_ = 0;
  bool drafting_ = false;
  std::vector<EventId> delays_;
  std::vector<std::vector<EventId>> ready_;  // [micro-batches][ranks of the stage] when its tokens are there
  std::vector<EventId> compute_;             // [ranks of the stage] end of the stream's last task
  std::vector<EventId> communicate_;
  std::array<MoeLayerTasks*, 2> current_{};  // [micro-batch mod 2]
};

}  // namespace

PhaseTasks& ModelStepTasks::phase(const std::string& name) {
  for (PhaseTasks& phase : phases)
    if (phase.name == name) return phase;
  phases.emplace_back().name = name;
  return phases.back();
}

std::unique_ptr<ModelStepTasks> lower_model_step(const ModelStep& step, const topology::Router& router) {
  auto tasks = std::make_unique<ModelStepTasks>(step, router);
  Builder(step, router, *tasks).build();
  return tasks;
}

}  // namespace moesim::step
