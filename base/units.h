// Physical quantities as types. A quantity holds a double in its SI unit (bytes, seconds, bytes per second, ...);
// mixing dimensions does not compile. Text always carries a unit: "450 GB/s", "1.5 us", "141 GiB".
// GB is 10^9 bytes and GiB 2^30; "b" is a bit and "B" a byte ("400 Gb/s" is 50 GB/s).
#pragma once

#include <compare>
#include <string>
#include <string_view>

namespace moesim::base {

template <class Dimension>
class Quantity {
 public:
  constexpr Quantity() = default;
  constexpr explicit Quantity(double value) : value_(value) {}

  // The number in SI units: where a solver's loop unwraps it.
  constexpr double value() const { return value_; }

  constexpr auto operator<=>(const Quantity&) const = default;
  constexpr Quantity operator-() const { return Quantity(-value_); }
  constexpr Quantity& operator+=(Quantity o) { return value_ += o.value_, *this; }
  constexpr Quantity& operator-=(Quantity o) { return value_ -= o.value_, *this; }
  friend constexpr Quantity operator+(Quantity a, Quantity b) { return Quantity(a.value_ + b.value_); }
  friend constexpr Quantity operator-(Quantity a, Quantity b) { return Quantity(a.value_ - b.value_); }
  friend constexpr Quantity operator*(Quantity a, double k) { return Quantity(a.value_ * k); }
  friend constexpr Quantity operator*(double k, Quantity a) { return Quantity(a.value_ * k); }
  friend constexpr Quantity operator/(Quantity a, double k) { return Quantity(a.value_ / k); }
  friend constexpr double operator/(Quantity a, Quantity b) { return a.value_ / b.value_; }

 private:
  double value_ = 0;
};

using Bytes = Quantity<struct BytesDimension>;          // bytes
using Duration = Quantity<struct DurationDimension>;    // seconds
using Bandwidth = Quantity<struct BandwidthDimension>;  // bytes per second
using Flops = Quantity<struct FlopsDimension>;          // floating-point operations (a multiply-add counts two)
using FlopRate = Quantity<struct FlopRateDimension>;    // operations per second
using Power = Quantity<struct PowerDimension>;          // watts
using Frequency = Quantity<struct FrequencyDimension>;  // cycles per second

constexpr Duration operator/(Bytes amount, Bandwidth rate) { return Duration(amount.value() / rate.value()); }
constexpr Bandwidth operator/(Bytes amount, Duration time) { return Bandwidth(amount.value() / time.value()); }
constexpr Bytes operator*(Bandwidth rate, Duration time) { return Bytes(rate.value() * time.value()); }
constexpr Duration operator/(Flops amount, FlopRate rate) { return Duration(amount.value() / rate.value()); }

// Each parses a non-negative finite number and a unit of the right dimension; throws std::invalid_argument whose text
// says what is wrong and which units would do.
Bytes parse_bytes(std::string_view text);
Duration parse_duration(std::string_view text);
Bandwidth parse_bandwidth(std::string_view text);
FlopRate parse_flop_rate(std::string_view text);
Power parse_power(std::string_view text);
Frequency parse_frequency(std::string_view text);

// In the decimal unit that puts one to three digits before the point: "121 us", "48.2 GB/s", "1.00 ms". `digits`
// significant digits, but whole numbers stay whole; 17 or more: the shortest text that parses to the same value.
std::string to_string(Bytes value, int digits = 3);
std::string to_string(Duration value, int digits = 3);
std::string to_string(Bandwidth value, int digits = 3);
std::string to_string(FlopRate value, int digits = 3);
std::string to_string(Power value, int digits = 3);
std::string to_string(Frequency value, int digits = 3);

// A plain number with `digits` significant digits (whole numbers stay whole; 17 or more: as few as give the same
// double) and no exponent for common magnitudes.
std::string format_number(double value, int digits = 3);

}  // namespace moesim::base
