// What the tables of DeepEP's two kernel families share.
#pragma once

#include <functional>
#include <string>

#include "sim/lowering/deepep.h"
#include "validation/table_kind.h"

namespace moesim::validation {

// One row's shape, the same for dispatch and combine.
struct DeepEpRow {
  std::int32_t nodes = 1, ranks = 0, experts = 0, top_k = 0;
  std::int64_t hidden = 0, tokens_per_rank = 0;
};
DeepEpRow read_deepep_row(const calibration::Table& table, std::size_t row);

// The time of an exchange that `lower` builds, on the smallest cluster of the system that has the ranks.
base::Duration simulate(const System& on, std::int32_t ranks,
                        const std::function<engine::ExchangeEvents(lowering::Network&)>& lower);

// What a row exchanges: `dispatch_message` bytes of a token to one receiver on the way there, bf16 on the way back.
lowering::MoeExchange deepep_exchange(const DeepEpRow& shape, const lowering::MoeTokens& tokens, bool combine,
                                      base::Bytes dispatch_message);

// The two samples of a row, without their predictions.
std::array<Sample, 2> deepep_samples(const DeepEpRow& shape, std::size_t row);

}  // namespace moesim::validation
