// What mixes the tokens of a sequence: attention and what replaces it. All counts are per layer.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace moesim::workloads {

enum class AttentionKind : std::uint8_t {
  Gqa,         // grouped-query attention, multi-head included: keys and values of kv_heads heads are cached
  Mla,         // multi-head latent attention: one latent of kv_rank and one rotary key of rope_dim are cached
  Compressed,  // one key-value vector of head_dim for every `compression` tokens, and a window of single ones
  Linear,      // a matrix [head_dim, v_head_dim] per head instead of a cache: delta rule and relatives
  Mamba        // a state [head_dim, state_dim] per head
};
std::string_view to_string(AttentionKind kind);  // "gqa", "mla", "compressed", "linear", "mamba"

// Alike layers. Fields that a kind does not use are 0.
struct Attention {
  AttentionKind kind = AttentionKind::Gqa;
  std::int32_t layers = 0;  // of the model, that are like this
  std::int32_t heads = 0;
  std::int32_t kv_heads = 0;    // gqa; of linear attention the key heads, of mamba the groups
  std::int32_t head_dim = 0;    // of a query and key; of MLA without its rotary part
  std::int32_t v_head_dim = 0;  // 0: as head_dim
  std::int32_t q_rank = 0;      // queries by a low-rank product; 0: by one matrix
  std::int32_t kv_rank = 0;     // mla
  std::int32_t rope_dim = 0;    // mla
  std::int32_t o_rank = 0;      // output by a low-rank product in o_groups groups; 0: by one matrix
  std::int32_t o_groups = 0;
  std::int32_t window = 0;       // tokens that a token sees; 0: all
  std::int32_t compression = 0;  // tokens per cached vector; 0: the window alone
  std::int32_t state_dim = 0;    // mamba
  std::int32_t convolution = 0;  // tokens that the short convolution of linear and mamba spans
  std::int32_t index_heads = 0;  // sparse attention: an index picks the index_top tokens that count
  std::int32_t index_dim = 0;
  std::int32_t index_top = 0;
  bool output_gate = false;    // a gate as wide as the heads' output
  bool shared_kv = false;      // values come from the same matrix as keys
  bool low_rank_gate = false;  // linear: a decay per channel from a low-rank product, as Kimi's delta attention

  std::int32_t value_dim() const { return v_head_dim > 0 ? v_head_dim : head_dim; }
};

// Weights of one layer, for a model of that hidden size; norms and biases are left out.
double attention_parameters(const Attention& attention, std::int32_t hidden);
// Elements that one more token adds to the cache of one layer, once its window (if any) is full: 0 with a window alone.
double cache_elements_per_token(const Attention& attention);
// Elements that a sequence keeps in one layer however long it is: the full window, or the state.
double state_elements(const Attention& attention);

// What one of tp tensor-parallel ranks has of it: heads, key-value heads and output groups are dealt out, each rank
// keeping at least one; low-rank inputs, latents and the index are whole on every rank. tp divides the heads.
Attention tensor_parallel_share(const Attention& attention, std::int32_t tp);

// In a model file: {"kind": "gqa", "layers": 94, "heads": 64, "kv_heads": 4, "head_dim": 128, ...}.
Attention read_attention(const base::JsonNode& node);
base::Json to_json(const Attention& attention);

}  // namespace moesim::workloads
