#include "validation/formats.h"

namespace moesim::validation {

std::optional<workloads::Dtype> format_named(std::string_view name) {
  using workloads::Dtype;
  if (name == "bfloat16" || name == "float16" || name == "half" || name == "bf16") return Dtype::Bf16;
  if (name == "fp8") return Dtype::Fp8;
  if (name == "fp8_block") return Dtype::Fp8Block;
  if (name == "nvfp4") return Dtype::Nvfp4;
  return std::nullopt;
}

bool computes_in(const profile::Profile& profile, workloads::Dtype dtype) {
  using workloads::Dtype;
  if (dtype == Dtype::Bf16) return true;
  return dtype == Dtype::Nvfp4 ? profile.fp4.has_value() : profile.fp8.has_value();
}

}  // namespace moesim::validation
