#include "workloads/attention.h"

#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

namespace moesim::workloads {
namespace {

constexpr std::array<std::string_view, 5> kKinds{"gqa", "mla", "compressed", "linear", "mamba"};

struct Field {
  const char* key;
  std::int32_t Attention::*member;
};
constexpr std::array<Field, 17> kFields{{{"layers", &Attention::layers},
                                         {"heads", &Attention::heads},
                                         {"kv_heads", &Attention::kv_heads},
                                         {"head_dim", &Attention::head_dim},
                                         {"v_head_dim", &Attention::v_head_dim},
                                         {"q_rank", &Attention::q_rank},
                                         {"kv_rank", &Attention::kv_rank},
                                         {"rope_dim", &Attention::rope_dim},
                                         {"o_rank", &Attention::o_rank},
                                         {"o_groups", &Attention::o_groups},
                                         {"window", &Attention::window},
                                         {"compression", &Attention::compression},
                                         {"state_dim", &Attention::state_dim},
                                         {"convolution", &Attention::convolution},
                                         {"index_heads", &Attention::index_heads},
                                         {"index_dim", &Attention::index_dim},
                                         {"index_top", &Attention::index_top}}};
struct Flag {
  const char* key;
  bool Attention::*member;
};
constexpr std::array<Flag, 3> kFlags{{{"output_gate", &Attention::output_gate},
                                      {"shared_kv", &Attention::shared_kv},
                                      {"low_rank_gate", &Attention::low_rank_gate}}};

// One matrix [in, out], or two around a rank.
double product(double in, double out, double rank) { return rank > 0 ? rank * (in + out) : in * out; }

}  // namespace

std::string_view to_string(AttentionKind kind) { return kKinds[static_cast<std::size_t>(kind)]; }

double attention_parameters(const Attention& a, std::int32_t hidden) {
  const double h = hidden;
  const double heads = a.heads;
  const double query = heads * (a.head_dim + (a.kind == AttentionKind::Mla ? a.rope_dim : 0));
  const double output = heads * a.value_dim();
  double sum = a.output_gate ? h * output : 0;
  // The index: queries from the low-rank query (or the token), one key and a weight per head from the token.
  if (a.index_heads > 0) {
    const double index = a.index_heads;
    sum += (a.q_rank > 0 ? a.q_rank : h) * index * a.index_dim + h * a.index_dim + h * index;
  }
  switch (a.kind) {
    case AttentionKind::Gqa:
      return sum + product(h, query, a.q_rank) + h * a.kv_heads * (a.head_dim + (a.shared_kv ? 0 : a.value_dim())) +
             output * h;
    case AttentionKind::Mla:
      return sum + product(h, query, a.q_rank) + h * (a.kv_rank + a.rope_dim) +
             heads * a.kv_rank * (a.head_dim + a.value_dim()) + output * h;
    case AttentionKind::Compressed: {
      // Output: in each group from its heads to o_rank, then from all groups' o_rank to hidden. A compressed layer
      // weighs the tokens that it pools by one more matrix.
      const double out = a.o_rank > 0 ? output * a.o_rank + double{h} * a.o_groups * a.o_rank : output * h;
      return sum + product(h, query, a.q_rank) + h * a.head_dim * (a.compression > 1 ? 3 : 1) + out;
    }
    case AttentionKind::Linear: {
      const double keys = double{1} * a.kv_heads * a.head_dim;
      const double gates = a.low_rank_gate ? product(h, query, a.head_dim) + h * heads : 2 * h * heads;
      return sum + h * (2 * keys + output) + gates + a.convolution * (2 * keys + output) + output * h;
    }
    case AttentionKind::Mamba: {
      const double inner = heads * a.head_dim;
      const double mixed = inner + 2.0 * a.kv_heads * a.state_dim;
      return sum + h * (inner + mixed + heads) + a.convolution * mixed + inner * h;
    }
  }
  return sum;
}

double cache_elements_per_token(const Attention& a) {
  const double index = a.index_dim;
  switch (a.kind) {
    case AttentionKind::Gqa:
      return a.window > 0 ? 0 : double{1} * a.kv_heads * (a.head_dim + a.value_dim()) + index;
    case AttentionKind::Mla:
      return double{1} * a.kv_rank + a.rope_dim + index;
    case AttentionKind::Compressed:
      return a.compression > 0 ? (a.head_dim + index) / a.compression : 0;
    case AttentionKind::Linear:
    case AttentionKind::Mamba:
      return 0;
  }
  return 0;
}

double state_elements(const Attention& a) {
  const double window = a.window;
  const double heads = a.heads;
  switch (a.kind) {
    case AttentionKind::Gqa:
      return window * a.kv_heads * (a.head_dim + a.value_dim());
    case AttentionKind::Mla:
      return 0;
    case AttentionKind::Compressed:
      return window * a.head_dim;
    case AttentionKind::Linear:
      return heads * a.head_dim * a.value_dim();
    case AttentionKind::Mamba:
      return heads * a.head_dim * a.state_dim;
  }
  return 0;
}

Attention tensor_parallel_share(const Attention& attention, std::int32_t tp) {
  Attention share = attention;
  const auto cut = [tp](std::int32_t count) { return count > 0 ? std::max(count / tp, 1) : 0; };
  share.heads = cut(attention.heads);
  share.kv_heads = cut(attention.kv_heads);
  share.o_groups = cut(attention.o_groups);
  return share;
}

Attention read_attention(const base::JsonNode& node) {
  const base::JsonObject object(
      node, {"kind",        "layers",      "heads",     "kv_heads",  "head_dim",    "v_head_dim",  "q_rank",
             "kv_rank",     "rope_dim",    "o_rank",    "o_groups",  "window",      "compression", "state_dim",
             "convolution", "index_heads", "index_dim", "index_top", "output_gate", "shared_kv",   "low_rank_gate"});
  Attention attention;
  attention.kind =
      static_cast<AttentionKind>(object.required("kind").one_of({"gqa", "mla", "compressed", "linear", "mamba"}));
  for (const char* key : {"layers", "heads", "head_dim"}) object.required(key);
  for (const Field& field : kFields)
    attention.*field.member =
        object.get(field.key, 0, [](const base::JsonNode& n) { return n.integer(0, std::int64_t{1} << 24); });
  for (const Flag& flag : kFlags)
    attention.*flag.member = object.get(flag.key, false, [](const base::JsonNode& n) { return n.boolean(); });
  return attention;
}

base::Json to_json(const Attention& attention) {
  base::Json json = {{"kind", to_string(attention.kind)}};
  for (const Field& field : kFields)
    if (attention.*field.member != 0) json[field.key] = attention.*field.member;
  for (const Flag& flag : kFlags)
    if (attention.*flag.member) json[flag.key] = true;
  return json;
}

}  // namespace moesim::workloads
