#include "base/units.h"

#include <array>
#include <charconv>
#include <cmath>
#include <span>
#include <stdexcept>

namespace moesim::base {
namespace {

struct Unit {
  std::string_view name;
  double factor;     // value in SI units of one of it
  bool printed;      // used for output, from the largest to the smallest
};

constexpr double kKi = 1024.0;
constexpr std::array kByteUnits{
    Unit{"TB", 1e12, true},         Unit{"GB", 1e9, true},     Unit{"MB", 1e6, true},     Unit{"kB", 1e3, true},
    Unit{"B", 1, true},             Unit{"KB", 1e3, false},    Unit{"KiB", kKi, false},   Unit{"MiB", kKi* kKi, false},
    Unit{"GiB", kKi* kKi* kKi, false}, Unit{"TiB", kKi* kKi* kKi* kKi, false}};
constexpr std::array kTimeUnits{Unit{"s", 1, true}, Unit{"ms", 1e-3, true}, Unit{"us", 1e-6, true},
                                Unit{"ns", 1e-9, true}};
constexpr std::array kBandwidthUnits{Unit{"TB/s", 1e12, true},    Unit{"GB/s", 1e9, true},    Unit{"MB/s", 1e6, true},
                                     Unit{"kB/s", 1e3, true},     Unit{"B/s", 1, true},       Unit{"Tb/s", 1e12 / 8, false},
                                     Unit{"Gb/s", 1e9 / 8, false}, Unit{"Mb/s", 1e6 / 8, false}};
constexpr std::array kFlopUnits{Unit{"PFLOP/s", 1e15, true}, Unit{"TFLOP/s", 1e12, true}, Unit{"GFLOP/s", 1e9, true}};
constexpr std::array kPowerUnits{Unit{"kW", 1e3, true}, Unit{"W", 1, true}};

std::string unit_list(std::span<const Unit> units) {
  std::string text;
  for (const Unit& unit : units) text += (text.empty() ? "" : ", ") + std::string(unit.name);
  return text;
}

double parse(std::string_view text, std::span<const Unit> units) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || !std::isfinite(number))
    throw std::invalid_argument("a finite number and a unit (" + unit_list(units) + ")");
  if (number < 0) throw std::invalid_argument("a number that is not negative");
  std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  for (const Unit& candidate : units) {
    if (candidate.name != unit) continue;
    // Decimal factors below one are divided by, so that "1.5 us" is the double nearest to 1.5e-6.
    return candidate.factor < 1 ? number / std::round(1 / candidate.factor) : number * candidate.factor;
  }
  throw std::invalid_argument(std::string(unit.empty() ? "a unit after the number, one of " : "one of the units ") +
                              unit_list(units));
}

std::string format(double value, std::span<const Unit> units, int digits) {
  const Unit* chosen = nullptr;
  for (const Unit& unit : units) {
    if (!unit.printed) continue;
    chosen = &unit;
    if (std::abs(value) >= unit.factor * (1 - 1e-9)) break;
  }
  if (value == 0) {
    for (const Unit& unit : units)
      if (unit.factor == 1) chosen = &unit;
  }
  const double scaled = chosen->factor < 1 ? value * std::round(1 / chosen->factor) : value / chosen->factor;
  return format_number(scaled, digits) + " " + std::string(chosen->name);
}

}  // namespace

std::string format_number(double value, int digits) {
  if (value == 0) return "0";
  if (!std::isfinite(value)) return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
  const double magnitude = std::floor(std::log10(std::abs(value)));
  std::array<char, 64> buffer{};
  const bool fixed = magnitude >= -4 && magnitude < 15;
  const int decimals = digits - 1 - static_cast<int>(magnitude);
  // Fixed notation with too few digits would print zeros for digits that are known to be wrong; integers stay whole.
  const auto result = fixed ? std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::fixed,
                                            std::max(0, decimals))
                            : std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                            std::chars_format::scientific, digits - 1);
  std::string text(buffer.data(), result.ptr);
  if (fixed && digits > 6 && text.find('.') != std::string::npos) {
    while (text.back() == '0') text.pop_back();
    if (text.back() == '.') text.pop_back();
  }
  return text;
}

Bytes parse_bytes(std::string_view text) { return Bytes(parse(text, kByteUnits)); }
Duration parse_duration(std::string_view text) { return Duration(parse(text, kTimeUnits)); }
Bandwidth parse_bandwidth(std::string_view text) { return Bandwidth(parse(text, kBandwidthUnits)); }
FlopRate parse_flop_rate(std::string_view text) { return FlopRate(parse(text, kFlopUnits)); }
Power parse_power(std::string_view text) { return Power(parse(text, kPowerUnits)); }

std::string to_string(Bytes value, int digits) { return format(value.value(), kByteUnits, digits); }
std::string to_string(Duration value, int digits) { return format(value.value(), kTimeUnits, digits); }
std::string to_string(Bandwidth value, int digits) { return format(value.value(), kBandwidthUnits, digits); }
std::string to_string(FlopRate value, int digits) { return format(value.value(), kFlopUnits, digits); }
std::string to_string(Power value, int digits) { return format(value.value(), kPowerUnits, digits); }

}  // namespace moesim::base
