// C4: dtype, kv_dtype, heads, batch, isl, tp, step, latency_us. step 0 is prefill of isl tokens, isl 1 with step >= 1
// decode with `step` tokens in the cache and the new one; heads as timed on one GPU.
#include "sim/lowering/attention.h"
#include "validation/kinds.h"

namespace moesim::validation {
namespace {

using calibration::Table;

Samples read(const Table& table, const System& system) {
  (void)system;
  Samples result;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const std::int64_t heads = table.integer(row, "heads", 1);
    const std::int64_t isl = table.integer(row, "isl", 1), cached = table.integer(row, "step");
    lowering::AttentionShape shape;
    shape.requests = table.integer(row, "batch", 1);
    shape.repeated = true;
    const double measured = table.time_us(row, "latency_us");
    const std::string& cache = table.text(row, "kv_dtype");
    if (table.text(row, "dtype") != "bfloat16") {
      result.skipped.push_back({row, "MLA in " + table.text(row, "dtype") + " is not modelled"});
      continue;
    }
    if (cache != "bfloat16" && cache != "fp8") {
      result.skipped.push_back({row, "MLA with a cache of " + cache + " is not modelled"});
      continue;
    }
    if (cached > 0 && isl > 1) {
      result.skipped.push_back({row, "MLA prefill behind cached tokens is not modelled"});
      continue;
    }
    shape.fp8_cache = cache == "fp8";
    const bool prefill = cached == 0;
    shape.heads = prefill ? lowering::mla_prefill_heads(heads) : lowering::mla_decode_heads(heads);
    shape.tokens = prefill ? isl : cached + 1;
    Sample sample;
    sample.row = row;
    sample.measured_us = measured;
    sample.kernel = prefill ? "mla_prefill" : "mla_decode";
    sample.group = std::string(prefill ? "prefill" : "decode") + ", cache " + cache;
    sample.size = static_cast<double>(shape.requests) * static_cast<double>(shape.tokens);
    sample.size_unit = "tokens";
    sample.predict = [shape, prefill](const System& on, const profile::KernelParameters& parameters) {
      const auto cost = prefill ? lowering::prefill_attention_cost : lowering::decode_attention_cost;
      return Estimate{cost(shape, on.profile(), parameters).total, 0, 0};
    };
    result.samples.push_back(std::move(sample));
  }
  return result;
}

Part fit_if(bool fit) { return fit ? Part::Fit : Part::Test; }

}  // namespace

TableKind mla_kind() {
  TableKind kind;
  kind.name = "C4";
  kind.title = "MLA attention";
  kind.columns = {"dtype", "kv_dtype", "heads", "batch", "isl", "tp", "step", "latency_us"};
  kind.time_columns = {"latency_us"};
  const auto models = lowering::attention_kernels();
  kind.kernels.assign(models.begin(), models.end());
  kind.read = read;
  kind.splits = {
      {"up to 2048 tokens in prefill and 8192 in decode, longer held out", Split::By::Size,
       [](const System&, const Table& t, std::size_t row) {
         return fit_if(t.integer(row, "isl") <= 2048 && t.integer(row, "step") <= 8192);
       }},
      {"16 and 128 heads, others held out", Split::By::Shape,
       [](const System&, const Table& t, std::size_t row) {
         const std::int64_t heads = t.integer(row, "heads");
         return fit_if(heads == 16 || heads == 128);
       }},
      {"up to 32 heads, 128 held out", Split::By::Shape,
       [](const System&, const Table& t, std::size_t row) { return fit_if(t.integer(row, "heads") <= 32); }},
      {"up to 16 requests, more held out", Split::By::Size,
       [](const System&, const Table& t, std::size_t row) { return fit_if(t.integer(row, "batch") <= 16); }},
  };
  kind.goal_median = 0.06;
  kind.goal_p90 = 0.18;
  kind.limits =
      "Decode on Blackwell: times below 20 us lie on steps of 2 us (9, 11, 13, 15), so that a tenth of them is not "
      "resolved; the library's number of splits is a heuristic that jumps (4 requests of 4096 tokens take longer than "
      "8 "
      "of 8192), where the model takes the fastest. Which part of a block's cost grows with its query heads cannot be "
      "told from 16 and 32 heads, whose blocks on Blackwell all have 16: so 128 heads do not follow from fewer, "
      "least with many requests of few tokens, nor many requests from few. The tile of 16 heads for up to 32 of them "
      "is assumed for other counts below 64. Between architectures the kernels differ (what an SM fetches per cycle "
      "by a factor of 3), so a family without rows is known to a fifth at the median only. Decode on Hopper: with 32 "
      "to 128 requests of 100 to 2000 tokens blocks of one SM start and end together, which the stream does not hide: "
      "up to 20 % too fast. Prefill: one or two blocks per SM with few heads (2048 tokens of one request) are up to "
      "20 % slow on H100; the kernel balances causal blocks better than the model.";
  return kind;
}

}  // namespace moesim::validation
