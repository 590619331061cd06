// What each decoder layer of a model consists of, as far as its counts tell.
#pragma once

#include <cstdint>
#include <vector>

#include "workloads/model.h"

namespace moesim::workloads {

struct LayerParts {
  std::int32_t attention = -1;  // which of Model::attention; -1: none
  std::int32_t moe = -1;        // number among the MoE layers; -1: no experts
  bool dense_ffn = false;
};

// [layers]. Experts are where the model says. Kinds of attention and dense networks are counted, not placed:
//   dense FFN   in all layers without experts, or spread evenly over them where the model has fewer
//   attention   in every layer; where the model has fewer, in those that have neither experts nor dense FFN
//               (architectures whose layers are one part each), or spread evenly if these are too few
// Several kinds follow each other in proportion, each exactly as often as the model has it: two kinds with as many
// layers alternate.
std::vector<LayerParts> layer_parts(const Model& model);

}  // namespace moesim::workloads
