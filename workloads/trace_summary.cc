#include "workloads/trace_summary.h"

#include <algorithm>

#include "base/error.h"
#include "workloads/npy_stream.h"
#include "workloads/trace_file.h"

namespace moesim::workloads {
namespace {

struct Cell {
  std::uint32_t last = 0;  // the latest token that chose the expert, from 1
  std::uint32_t load = 0;  // since `flush`
};

// Takes blocks of tokens, [tokens][layers][top_k].
class Summarizer {
 public:
  Summarizer(TraceSummary& summary, std::int64_t tokens)
      : summary_(summary),
        layers_(static_cast<std::size_t>(summary.layers)),
        k_(static_cast<std::size_t>(summary.top_k)),
        step_((tokens + kSampleTokens - 1) / kSampleTokens),
        shared_(layers_, 0) {
    if (tokens >= std::int64_t{0xfffffffe})
      throw base::InputError(summary.file, "", std::to_string(tokens) + " tokens", "fewer than 2^32 - 2");
    grow(256);
  }

  void add(std::span<const std::uint16_t> ids) {
    const auto most = std::max_element(ids.begin(), ids.end(), [](std::uint16_t a, std::uint16_t b) {
      return static_cast<std::uint16_t>(a + 1) < static_cast<std::uint16_t>(b + 1);  // padding is the least
    });
    if (*most != kPaddingId) {
      summary_.experts = std::max(summary_.experts, *most + 1);
      while (stride_ <= *most) grow(2 * stride_);
    }
    for (std::size_t at = 0; at < ids.size(); at += layers_ * k_) add_token(ids.subspan(at, layers_ * k_));
  }

  void finish() {
    summary_.tokens = kept_;
    if (kept_ == 0) throw base::InputError(summary_.file, "", "a trace without tokens", "at least one token");
    for (std::size_t layer = 0; layer < layers_; ++layer) {
      std::vector<std::int64_t> loads;
      for (std::size_t e = 0; e < static_cast<std::size_t>(summary_.experts); ++e)
        loads.push_back(e < stride_ ? cells_[layer * stride_ + e].load : 0);
      summary_.statistics.push_back(load_statistics(loads));
      if (kept_ > 1)
        summary_.statistics.back().adjacent_share =
            static_cast<double>(shared_[layer]) / static_cast<double>((kept_ - 1) * summary_.top_k);
      summary_.loads.push_back(std::move(loads));
    }
    make_sample();
  }

 private:
  void grow(std::size_t stride) {
    std::vector<Cell> wider(layers_ * stride);
    for (std::size_t layer = 0; layer < layers_ && stride_ > 0; ++layer)
      std::copy_n(cells_.begin() + static_cast<std::ptrdiff_t>(layer * stride_), stride_,
                  wider.begin() + static_cast<std::ptrdiff_t>(layer * stride));
    cells_ = std::move(wider);
    stride_ = stride;
  }

  void add_token(std::span<const std::uint16_t> ids) {
    const std::int64_t token = seen_++;
    if (ids[0] == kPaddingId || std::find(ids.begin(), ids.end(), kPaddingId) != ids.end()) {
      for (std::size_t layer = 0; layer < layers_; ++layer)
        for (const std::uint16_t id : ids.subspan(layer * k_, k_))
          if (id != kPaddingId) fail(token, layer, "expert id -1 (padding) in part of a token");
      ++summary_.padding_dropped;
      return;
    }
    const auto now = static_cast<std::uint32_t>(kept_ + 1);
    Cell* cells = cells_.data();
    const std::uint16_t* id = ids.data();
    for (std::size_t layer = 0; layer < layers_; ++layer, cells += stride_, id += k_) {
      std::uint32_t shared = 0, twice = 0;
      for (std::size_t i = 0; i < k_; ++i) {
        Cell& cell = cells[id[i]];
        shared += static_cast<std::uint32_t>(cell.last + 1 == now);
        twice |= static_cast<std::uint32_t>(cell.last == now);
        cell.last = now;
        ++cell.load;
      }
      // The first token has no token before it: `last` of unused experts is 0 then, one less than its number.
      if (now != 1) shared_[layer] += shared;
      if (twice != 0) fail(token, layer, "an expert chosen twice");
    }
    if (token % step_ == 0) {
      sample_.insert(sample_.end(), ids.begin(), ids.end());
      ++summary_.sample.tokens;
    }
    ++kept_;
  }

  [[noreturn]] void fail(std::int64_t token, std::size_t layer, const std::string& problem) const {
    throw base::InputError(summary_.file, "token " + std::to_string(token) + ", layer " + std::to_string(layer),
                           problem);
  }

  void make_sample() {
    Trace& sample = summary_.sample;
    sample.layers = summary_.layers;
    sample.top_k = summary_.top_k;
    sample.passes = {0, sample.tokens};
    for (std::size_t layer = 0; layer < layers_; ++layer) {
      for (std::size_t at = layer * k_; at < sample_.size(); at += layers_ * k_)
        sample.ids.insert(sample.ids.end(), sample_.begin() + static_cast<std::ptrdiff_t>(at),
                          sample_.begin() + static_cast<std::ptrdiff_t>(at + k_));
    }
  }

  TraceSummary& summary_;
  std::size_t layers_, k_;
  std::int64_t step_;  // one token in so many is in the sample
  std::size_t stride_ = 0;
  std::vector<Cell> cells_;  // [layers][stride]
  std::vector<std::int64_t> shared_;
  std::vector<std::uint16_t> sample_;  // token by token
  std::int64_t seen_ = 0, kept_ = 0;
};

void summarize(const Trace& trace, TraceSummary& summary) {
  Summarizer summarizer(summary, trace.tokens);
  std::vector<std::uint16_t> token;
  for (std::int64_t t = 0; t < trace.tokens; ++t) {
    token.clear();
    for (std::int32_t layer = 0; layer < trace.layers; ++layer) {
      const auto ids = trace.layer(layer).slice(t, 1).experts;
      token.insert(token.end(), ids.begin(), ids.end());
    }
    summarizer.add(token);
  }
  summarizer.finish();
}

}  // namespace

TraceSummary summarize_trace(const std::string& path, std::int32_t layers, std::int32_t experts) {
  TraceSummary summary;
  summary.file = path;
  summary.experts = experts;
  if (path.ends_with(".npy")) {
    NpyStream stream(path);
    summary.layers = stream.layers();
    summary.top_k = stream.top_k();
    if (layers != 0 && layers != summary.layers)
      throw base::InputError(
          path, "", std::to_string(summary.layers) + " layers in the file, " + std::to_string(layers) + " asked for");
    Summarizer summarizer(summary, stream.tokens());
    for (auto ids = stream.next(); !ids.empty(); ids = stream.next()) summarizer.add(ids);
    summarizer.finish();
  } else {
    const Trace trace = read_trace_file(path, {layers});
    summary.layers = trace.layers;
    summary.top_k = trace.top_k;
    summarize(trace, summary);
    summary.padding_dropped = trace.padding_dropped;
  }
  if (experts != 0 && summary.experts > experts)
    throw base::InputError(path, "",
                           "expert id " + std::to_string(summary.experts - 1) + ", but the model has " +
                               std::to_string(experts) + " experts");
  return summary;
}

}  // namespace moesim::workloads
