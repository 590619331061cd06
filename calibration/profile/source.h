// Where a number comes from.
#pragma once

#include <cstdint>
#include <string_view>

namespace moesim::profile {

enum class Source : std::uint8_t { Measured, Fitted, Datasheet, Assumed };
std::string_view to_string(Source source);

}  // namespace moesim::profile
