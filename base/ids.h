// Typed indices: a LinkId cannot be passed where a DeviceId is expected.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace moesim::base {

template <class Tag>
struct Id {
  std::uint32_t value = 0;

  constexpr Id() = default;
  constexpr explicit Id(std::uint32_t v) : value(v) {}
  constexpr explicit Id(std::size_t v) : value(static_cast<std::uint32_t>(v)) {}
  constexpr std::size_t index() const { return value; }
  constexpr auto operator<=>(const Id&) const = default;
};

}  // namespace moesim::base

template <class Tag>
struct std::hash<moesim::base::Id<Tag>> {
  std::size_t operator()(moesim::base::Id<Tag> id) const noexcept { return std::hash<std::uint32_t>{}(id.value); }
};
