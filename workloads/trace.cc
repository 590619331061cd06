#include "workloads/trace.h"

#include <algorithm>

#include "base/error.h"

namespace moesim::workloads {
namespace {

std::string place_of(std::int64_t token, std::int32_t layer) {
  return "token " + std::to_string(token) + ", layer " + std::to_string(layer);
}

void drop_layers(Trace& trace) {
  const auto k = static_cast<std::size_t>(trace.top_k), size = static_cast<std::size_t>(trace.tokens) * k;
  std::vector<std::int32_t> without;
  for (std::int32_t layer = 0; layer < trace.layers; ++layer) {
    const auto ids = trace.layer(layer).experts;
    bool empty = true;
    for (std::size_t at = 0; at < size && empty; at += k) empty = row_without_experts(ids.subspan(at, k));
    if (empty) without.push_back(layer);
  }
  if (without.empty() || without.size() == static_cast<std::size_t>(trace.layers)) return;
  std::size_t out = 0, next = 0;
  for (std::int32_t layer = 0; layer < trace.layers; ++layer) {
    if (next < without.size() && without[next] == layer) {
      ++next;
      continue;
    }
    const auto from = trace.ids.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(layer) * size);
    std::copy_n(from, size, trace.ids.begin() + static_cast<std::ptrdiff_t>(out * size));
    ++out;
  }
  trace.ids.resize(out * size);
  trace.layers = static_cast<std::int32_t>(out);
  trace.layers_dropped = std::move(without);
}

// 1 for the tokens whose ids are all padding, in all layers.
std::vector<char> find_padding(const Trace& trace, const std::string& file) {
  const auto k = static_cast<std::size_t>(trace.top_k);
  std::vector<char> padding(static_cast<std::size_t>(trace.tokens), 0);
  for (std::int32_t layer = 0; layer < trace.layers; ++layer) {
    const auto ids = trace.layer(layer).experts;
    for (std::size_t t = 0; t < padding.size(); ++t) {
      const auto missing = std::count(ids.begin() + static_cast<std::ptrdiff_t>(t * k),
                                      ids.begin() + static_cast<std::ptrdiff_t>((t + 1) * k), kPaddingId);
      const char all = missing == trace.top_k ? 1 : 0;
      if (layer == 0) padding[t] = all;
      if ((missing != 0 && all == 0) || padding[t] != all)
        throw base::InputError(file, place_of(static_cast<std::int64_t>(t), layer),
                               "expert id -1 (padding) in part of a token",
                               "padding in all layers of a token, or in none");
    }
  }
  return padding;
}

void drop(const std::vector<char>& padding, Trace& trace) {
  std::vector<std::int64_t> kept_before(padding.size() + 1, 0);
  for (std::size_t t = 0; t < padding.size(); ++t) kept_before[t + 1] = kept_before[t] + (padding[t] ? 0 : 1);
  const auto k = static_cast<std::size_t>(trace.top_k);
  std::size_t out = 0;
  for (std::size_t row = 0; row < trace.ids.size() / k; ++row) {
    if (padding[row % padding.size()]) continue;
    std::copy_n(trace.ids.begin() + static_cast<std::ptrdiff_t>(row * k), k,
                trace.ids.begin() + static_cast<std::ptrdiff_t>(out));
    out += k;
  }
  trace.ids.resize(out);
  trace.tokens = kept_before.back();
  trace.padding_dropped = static_cast<std::int64_t>(padding.size()) - trace.tokens;
  for (std::int64_t& offset : trace.passes) offset = kept_before[static_cast<std::size_t>(offset)];
}

void check_distinct(const Trace& trace, const std::string& file) {
  std::vector<std::int64_t> last_row(static_cast<std::size_t>(kMaxExpertId) + 1, -1);
  const auto k = static_cast<std::size_t>(trace.top_k);
  for (std::size_t i = 0; i < trace.ids.size(); ++i) {
    const auto row = static_cast<std::int64_t>(i / k);
    if (last_row[trace.ids[i]] == row)
      throw base::InputError(file, place_of(row % trace.tokens, static_cast<std::int32_t>(row / trace.tokens)),
                             "expert " + std::to_string(trace.ids[i]) + " chosen twice", "distinct experts per token");
    last_row[trace.ids[i]] = row;
  }
}

}  // namespace

bool row_without_experts(std::span<const std::uint16_t> row) {
  const std::uint16_t first = row.front();
  return (first == kPaddingId || (first == 0 && row.size() > 1)) &&
         std::all_of(row.begin(), row.end(), [&](std::uint16_t id) { return id == first; });
}

std::size_t largest_pass(const Trace& trace) {
  std::size_t best = 0;
  for (std::size_t p = 1; p < trace.num_passes(); ++p)
    if (trace.passes[p + 1] - trace.passes[p] > trace.passes[best + 1] - trace.passes[best]) best = p;
  return best;
}

Trace one_pass(const Trace& trace, std::size_t pass) {
  MOESIM_CHECK(pass < trace.num_passes(), "no such pass");
  const std::int64_t first = trace.passes[pass], count = trace.passes[pass + 1] - first;
  Trace part;
  part.tokens = count;
  part.layers = trace.layers;
  part.top_k = trace.top_k;
  part.experts = trace.experts;
  part.layers_dropped = trace.layers_dropped;
  part.source = trace.source + " pass " + std::to_string(pass);
  part.passes = {0, count};
  part.ids.reserve(static_cast<std::size_t>(count * trace.layers * trace.top_k));
  for (std::int32_t layer = 0; layer < trace.layers; ++layer) {
    const auto ids = trace.layer(layer).slice(first, count).experts;
    part.ids.insert(part.ids.end(), ids.begin(), ids.end());
  }
  return part;
}

void finish_trace(Trace& trace, const std::string& file) {
  if (trace.passes.empty()) trace.passes = {0, trace.tokens};
  if (trace.tokens > 0) drop_layers(trace);
  const std::vector<char> padding = find_padding(trace, file);
  if (std::find(padding.begin(), padding.end(), 1) != padding.end()) drop(padding, trace);
  if (trace.tokens == 0) throw base::InputError(file, "", "a trace without tokens", "at least one token");
  check_distinct(trace, file);
}

}  // namespace moesim::workloads
