// How tables name number formats.
#pragma once

#include <optional>
#include <string_view>

#include "calibration/profile/profile.h"
#include "workloads/model.h"

namespace moesim::validation {

// "bfloat16", "float16", "half" and "bf16" are 16-bit formats of the same cost; "fp8", "fp8_block", "nvfp4". Nothing
// for a format without a model.
std::optional<workloads::Dtype> format_named(std::string_view name);
// Whether the GPU's tensor cores compute in it.
bool computes_in(const profile::Profile& profile, workloads::Dtype dtype);

}  // namespace moesim::validation
