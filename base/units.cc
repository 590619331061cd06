#include "base/units.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <span>
#include <stdexcept>

namespace moesim::base {
namespace {

// One unit is `binary` * 10^`exponent` SI units. `binary` is a power of two and exact, and decimal powers are shifted
// in the text, never multiplied, so that parsing and printing are correctly rounded: "1.5 us" is the double
// nearest 1.5e-6.
struct Unit {
  std::string_view name;
  int exponent;
  double binary;
  bool printed;  // the others are only read
};

constexpr double kKi = 1024;
constexpr double kBit = 1.0 / 8;

// Printed units run from the largest to the smallest.
constexpr std::array kByteUnits{Unit{"PB", 15, 1, true},
                                Unit{"TB", 12, 1, true},
                                Unit{"GB", 9, 1, true},
                                Unit{"MB", 6, 1, true},
                                Unit{"kB", 3, 1, true},
                                Unit{"B", 0, 1, true},
                                Unit{"KB", 3, 1, false},
                                Unit{"KiB", 0, kKi, false},
                                Unit{"MiB", 0, kKi* kKi, false},
                                Unit{"GiB", 0, kKi* kKi* kKi, false},
                                Unit{"TiB", 0, kKi* kKi* kKi* kKi, false}};
constexpr std::array kTimeUnits{Unit{"s", 0, 1, true}, Unit{"ms", -3, 1, true}, Unit{"us", -6, 1, true},
                                Unit{"ns", -9, 1, true}, Unit{"ps", -12, 1, true}};
constexpr std::array kBandwidthUnits{
    Unit{"PB/s", 15, 1, true},     Unit{"TB/s", 12, 1, true},    Unit{"GB/s", 9, 1, true},
    Unit{"MB/s", 6, 1, true},      Unit{"kB/s", 3, 1, true},     Unit{"B/s", 0, 1, true},
    Unit{"Tb/s", 12, kBit, false}, Unit{"Gb/s", 9, kBit, false}, Unit{"Mb/s", 6, kBit, false}};
constexpr std::array kFlopUnits{Unit{"EFLOP/s", 18, 1, true}, Unit{"PFLOP/s", 15, 1, true},
                                Unit{"TFLOP/s", 12, 1, true}, Unit{"GFLOP/s", 9, 1, true},
                                Unit{"MFLOP/s", 6, 1, true},  Unit{"FLOP/s", 0, 1, true}};
constexpr std::array kPowerUnits{Unit{"MW", 6, 1, true}, Unit{"kW", 3, 1, true}, Unit{"W", 0, 1, true}};
constexpr std::array kFrequencyUnits{Unit{"GHz", 9, 1, true}, Unit{"MHz", 6, 1, true}, Unit{"kHz", 3, 1, true},
                                     Unit{"Hz", 0, 1, true}};

std::string unit_list(std::span<const Unit> units) {
  std::string text;
  for (const Unit& unit : units) text += (text.empty() ? "" : ", ") + std::string(unit.name);
  return text;
}

// The number in `text` times 10^`exponent`; not finite when it is too large or too small for a double.
double shifted(std::string_view text, int exponent) {
  const std::size_t e = text.find_first_of("eE");
  if (e != std::string_view::npos) {
    std::string_view own = text.substr(e + 1);
    if (own.starts_with('+')) own.remove_prefix(1);
    int value = 0;
    std::from_chars(own.data(), own.data() + own.size(), value);
    exponent += value;
  }
  const std::string whole = std::string(text.substr(0, e)) + "e" + std::to_string(exponent);
  double number = 0;
  const auto [end, error] = std::from_chars(whole.data(), whole.data() + whole.size(), number);
  return error == std::errc() ? number : HUGE_VAL;
}

double parse(std::string_view text, std::span<const Unit> units) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || !std::isfinite(number))
    throw std::invalid_argument("a finite number and a unit (" + unit_list(units) + ")");
  if (number < 0) throw std::invalid_argument("a number that is not negative");
  const auto digits = static_cast<std::size_t>(end - text.data());
  std::string_view unit = text.substr(digits);
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  if (unit.empty()) throw std::invalid_argument("a unit after the number, one of " + unit_list(units));
  const auto found = std::find_if(units.begin(), units.end(), [&](const Unit& u) { return u.name == unit; });
  if (found == units.end() && unit.ends_with("ps")) {  // "Gbps" is what others write for Gb/s
    const std::string meant = std::string(unit.substr(0, unit.size() - 2)) + "/s";
    if (std::any_of(units.begin(), units.end(), [&](const Unit& u) { return u.name == meant; }))
      throw std::invalid_argument("\"" + std::string(text.substr(0, digits)) + " " + meant + "\"");
  }
  if (found == units.end()) throw std::invalid_argument("one of the units " + unit_list(units));
  const double value = shifted(text.substr(0, digits), found->exponent) * found->binary;
  if (!std::isfinite(value)) throw std::invalid_argument("a number that is neither that large nor that small");
  return std::abs(value);  // "-0 B" is 0
}

// A rounded number: d1.d2d3... * 10^exponent.
struct Decimal {
  bool negative = false;
  std::string digits;
  int exponent = 0;
};

// 17 digits or more: as few as it takes to read the same double again. `value` is finite and not zero.
Decimal round_decimal(double value, int digits) {
  std::array<char, 64> buffer{};
  char* const begin = buffer.data();
  char* const limit = begin + buffer.size();
  const auto result = digits >= 17 ? std::to_chars(begin, limit, std::abs(value), std::chars_format::scientific)
                                   : std::to_chars(begin, limit, std::abs(value), std::chars_format::scientific,
                                                   std::max(0, digits - 1));
  const std::string_view text(begin, static_cast<std::size_t>(result.ptr - begin));
  const std::size_t e = text.find('e');
  Decimal decimal{value < 0, std::string(text.substr(0, e)), 0};
  std::erase(decimal.digits, '.');
  const std::string_view exponent = text.substr(e + (text[e + 1] == '+' ? 2 : 1));
  std::from_chars(exponent.data(), exponent.data() + exponent.size(), decimal.exponent);
  return decimal;
}

// Rounded to `digits` digits, but never before the decimal point of a number in units of 10^`unit`.
Decimal round_whole(double value, int digits, int unit) {
  const int whole = round_decimal(value, 17).exponent - unit + 1;
  return round_decimal(value, whole <= 15 ? std::max(digits, whole) : digits);
}

std::string layout(const Decimal& decimal, int digits_asked) {
  std::string text = decimal.digits;
  if (digits_asked > 6) text.erase(std::max<std::size_t>(1, text.find_last_not_of('0') + 1));
  const int count = static_cast<int>(text.size());
  if (decimal.exponent < -4 || decimal.exponent >= 15) {
    if (count > 1) text.insert(1, ".");
    text += "e" + std::to_string(decimal.exponent);
  } else if (decimal.exponent < 0) {
    text.insert(0, "0." + std::string(static_cast<std::size_t>(-decimal.exponent - 1), '0'));
  } else if (decimal.exponent >= count) {
    text.append(static_cast<std::size_t>(decimal.exponent + 1 - count), '0');
  } else if (decimal.exponent + 1 < count) {
    text.insert(static_cast<std::size_t>(decimal.exponent) + 1, ".");
  }
  return (decimal.negative ? "-" : "") + text;
}

std::string not_finite(double value) { return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf"; }

// `zero`: the unit to print with values that have no magnitude.
std::string format(double value, std::span<const Unit> units, int digits, std::string_view zero) {
  if (value == 0 || !std::isfinite(value)) return (value == 0 ? "0" : not_finite(value)) + " " + std::string(zero);
  const Unit* chosen = &units.front();
  Decimal decimal;
  for (const Unit& unit : units) {
    if (!unit.printed) continue;
    chosen = &unit;
    decimal = round_whole(value, digits, unit.exponent);
    if (decimal.exponent >= unit.exponent) break;
  }
  decimal.exponent -= chosen->exponent;
  return layout(decimal, digits) + " " + std::string(chosen->name);
}

}  // namespace

std::string format_number(double value, int digits) {
  if (value == 0) return "0";
  return std::isfinite(value) ? layout(round_whole(value, digits, 0), digits) : not_finite(value);
}

Bytes parse_bytes(std::string_view text) { return Bytes(parse(text, kByteUnits)); }
Duration parse_duration(std::string_view text) { return Duration(parse(text, kTimeUnits)); }
Bandwidth parse_bandwidth(std::string_view text) { return Bandwidth(parse(text, kBandwidthUnits)); }
FlopRate parse_flop_rate(std::string_view text) { return FlopRate(parse(text, kFlopUnits)); }
Power parse_power(std::string_view text) { return Power(parse(text, kPowerUnits)); }
Frequency parse_frequency(std::string_view text) { return Frequency(parse(text, kFrequencyUnits)); }

std::string to_string(Bytes value, int digits) { return format(value.value(), kByteUnits, digits, "B"); }
std::string to_string(Duration value, int digits) { return format(value.value(), kTimeUnits, digits, "us"); }
std::string to_string(Bandwidth value, int digits) { return format(value.value(), kBandwidthUnits, digits, "GB/s"); }
std::string to_string(FlopRate value, int digits) { return format(value.value(), kFlopUnits, digits, "TFLOP/s"); }
std::string to_string(Power value, int digits) { return format(value.value(), kPowerUnits, digits, "W"); }
std::string to_string(Frequency value, int digits) { return format(value.value(), kFrequencyUnits, digits, "Hz"); }

}  // namespace moesim::base
