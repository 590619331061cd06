// Varying a scenario: a JSON merge patch (RFC 7396) or `--set path=value`. Errors about a patched value name the patch.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"

namespace moesim::base {

// `assignment` is "step.tokens_per_gpu=64": a dotted path (a number indexes a list) and a JSON value; what is not JSON
// is taken as a text, so that `cluster.preset=hgx_h100` needs no quotes. Missing objects on the way are created.
void apply_set(JsonDocument& document, std::string_view assignment);

// `source` is how errors name the patch.
void apply_merge_patch(JsonDocument& document, const Json& patch, const std::string& source);

}  // namespace moesim::base
