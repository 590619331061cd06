// How many weights a model has, how many of them a token meets, and what its context occupies.
#pragma once

#include "base/units.h"
#include "workloads/model.h"

namespace moesim::workloads {

// Matrices only: norms, biases and short vectors are left out, as are vision towers and multi-token prediction.
struct Parameters {
  double routed = 0;         // of all experts of all layers
  double shared = 0;         // shared experts
  double dense = 0;          // FFN of layers without experts
  double attention = 0;      // and what replaces it
  double router = 0;         // gates, and the projections to and from a latent width
  double embedding = 0;      // [vocabulary, hidden], of the input (also the output's, if tied)
  double output = 0;         // of the output, if its own
  double active_routed = 0;  // of the routed, what one token uses: top_k experts of each layer

  double total() const { return routed + shared + dense + attention + router + embedding + output; }
  // What one token meets, its input embedding's table included, as most publishers count.
  double active() const { return total() - routed + active_routed; }
  // The same without the table of the input embedding, of which a token reads one row (tied: the output still needs
  // it).
  double active_without_embedding() const { return active() - (output > 0 ? embedding : 0); }
};
Parameters count_parameters(const Model& model);

// Of all weights as stored: embedding and output in bf16, experts and the rest in their formats.
base::Bytes weight_bytes(const Model& model);
// Of one routed expert.
base::Bytes expert_bytes(const Model& model);

// Per sequence, all layers, one element being `element` bytes (2 for bf16, 1 for fp8).
base::Bytes cache_bytes_per_token(const Model& model, double element);  // that each further token adds
base::Bytes state_bytes(const Model& model, double element);            // full windows, states of linear attention

}  // namespace moesim::workloads
