// Text files compiled into the program (presets), see moesim_embed in cmake/MoesimTargets.cmake.
#pragma once

#include <span>
#include <string_view>

namespace moesim::base {

struct EmbeddedFile {
  std::string_view name;  // base name without ".json"
  std::string_view text;
};

}  // namespace moesim::base
