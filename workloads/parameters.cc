#include "workloads/parameters.h"

namespace moesim::workloads {
namespace {

double matrix(double in, double out) { return in * out; }

}  // namespace

Parameters count_parameters(const Model& m) {
  Parameters p;
  const double moe_layers = m.moe_layers();
  const double hidden = m.hidden;
  const double expert = m.expert_matrices * matrix(m.dispatch_width(), m.expert_ffn);
  p.routed = moe_layers * m.experts * expert;
  p.active_routed = moe_layers * m.top_k * expert;
  p.shared = moe_layers * m.shared_experts * m.expert_matrices * matrix(hidden, m.shared_width());
  p.router = moe_layers * (matrix(hidden, m.experts) + (m.latent_width > 0 ? 2 * matrix(hidden, m.latent_width) : 0));
  p.dense = m.dense_ffn_layers * m.expert_matrices * matrix(hidden, m.dense_ffn);
  for (const Attention& attention : m.attention)
    p.attention += attention.layers * attention_parameters(attention, m.hidden);
  p.embedding = matrix(m.vocabulary, hidden);
  p.output = m.tied_embeddings ? 0 : p.embedding;
  return p;
}

base::Bytes weight_bytes(const Model& m) {
  const Parameters p = count_parameters(m);
  const double rest = p.shared + p.dense + p.attention + p.router;
  const double vocabulary = p.embedding + p.output;
  return base::Bytes((p.routed * bits_per_weight(m.expert_weights) + rest * bits_per_weight(m.other_weights) +
                      vocabulary * bits_per_weight(WeightFormat::Bf16)) /
                     8);
}

base::Bytes expert_bytes(const Model& m) {
  return base::Bytes(m.expert_matrices * matrix(m.dispatch_width(), m.expert_ffn) * bits_per_weight(m.expert_weights) /
                     8);
}

base::Bytes cache_bytes_per_token(const Model& m, double element) {
  double elements = 0;
  for (const Attention& attention : m.attention) elements += attention.layers * cache_elements_per_token(attention);
  return base::Bytes(elements * element);
}

base::Bytes state_bytes(const Model& m, double element) {
  double elements = 0;
  for (const Attention& attention : m.attention) elements += attention.layers * state_elements(attention);
  return base::Bytes(elements * element);
}

}  // namespace moesim::workloads
