#include "base/units.h"

#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

#include <doctest/doctest.h>

#include "base/random.h"

namespace moesim::base {
namespace {

template <class Parse>
std::string refusal(Parse parse, std::string_view text) {
  try {
    parse(text);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "accepted";
}

bool mentions(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

TEST_CASE("GB is a power of ten and GiB a power of two") {
  CHECK(parse_bytes("1 GB").value() == 1e9);
  CHECK(parse_bytes("1 GiB").value() == std::exp2(30));
  CHECK(parse_bytes("141 GiB").value() == 141 * std::exp2(30));
  CHECK(parse_bytes("1 TB").value() == 1e12);
  CHECK(parse_bytes("1 TiB").value() == std::exp2(40));
  CHECK(parse_bytes("3 MiB").value() == 3 * std::exp2(20));
  CHECK(parse_bytes("3 KiB").value() == 3 * std::exp2(10));
  CHECK(parse_bytes("2 kB").value() == 2000);
  CHECK(parse_bytes("2 KB").value() == 2000);
  CHECK(parse_bytes("7168 B").value() == 7168);
}

TEST_CASE("a bit is an eighth of a byte") {
  CHECK(parse_bandwidth("400 Gb/s") == parse_bandwidth("50 GB/s"));
  CHECK(parse_bandwidth("1.6 Tb/s") == parse_bandwidth("200 GB/s"));
  CHECK(parse_bandwidth("8 Mb/s").value() == 1e6);
  CHECK(refusal(parse_bytes, "8 Gb") != "accepted");
}

TEST_CASE("each dimension reads its own units only") {
  CHECK(parse_duration("1.5 us").value() == 1.5e-6);
  CHECK(parse_duration("2 ns").value() == 2e-9);
  CHECK(parse_duration("3 ms").value() == 3e-3);
  CHECK(parse_duration("4 s").value() == 4);
  CHECK(parse_flop_rate("989 TFLOP/s").value() == 989e12);
  CHECK(parse_flop_rate("2.5 PFLOP/s").value() == 2.5e15);
  CHECK(parse_power("700 W").value() == 700);
  CHECK(parse_power("120 kW").value() == 120e3);
  CHECK(parse_frequency("1.83 GHz").value() == 1.83e9);
  CHECK(refusal(parse_duration, "1 GB") != "accepted");
  CHECK(refusal(parse_bytes, "1 GB/s") != "accepted");
  CHECK(refusal(parse_bandwidth, "1 GB") != "accepted");
  CHECK(refusal(parse_flop_rate, "1 TB/s") != "accepted");
  CHECK(refusal(parse_power, "1 us") != "accepted");
  CHECK(refusal(parse_frequency, "1 GB") != "accepted");
}

TEST_CASE("a parsed number is the double nearest to the text in SI units") {
  CHECK(parse_duration("6.72 us").value() == 6.72e-6);
  CHECK(parse_duration("0.1 ns").value() == 0.1e-9);
  CHECK(parse_duration("1e3 us").value() == 1e-3);
  CHECK(parse_duration("12.5e-1 ms").value() == 1.25e-3);
  CHECK(parse_bandwidth("3.35 TB/s").value() == 3.35e12);
  CHECK(parse_bandwidth("1.2E+2 GB/s").value() == 120e9);
}

TEST_CASE("the space before the unit may be left out or repeated") {
  CHECK(parse_bandwidth("450GB/s").value() == 450e9);
  CHECK(parse_bandwidth("450  GB/s").value() == 450e9);
  CHECK(parse_duration("0us").value() == 0);
}

TEST_CASE("a number without a unit is refused with the units that would do") {
  const std::string text = refusal(parse_bandwidth, "450");
  CHECK(mentions(text, "a unit after the number"));
  CHECK(mentions(text, "GB/s"));
  CHECK(mentions(text, "Gb/s"));
  CHECK(mentions(refusal(parse_bandwidth, "450 "), "a unit after the number"));
}

TEST_CASE("an unknown unit is refused with the units that would do") {
  CHECK(refusal(parse_bandwidth, "400 Gbps") == "\"400 Gb/s\"");
  CHECK(refusal(parse_bandwidth, "450GBps") == "\"450 GB/s\"");
  for (const char* text : {"450 Xbps", "450 gb/s", "450 GB/s/GPU", "450 GB/s "}) {
    CAPTURE(text);
    CHECK(mentions(refusal(parse_bandwidth, text), "one of the units"));
  }
  CHECK(mentions(refusal(parse_duration, "5 min"), "us"));
}

TEST_CASE("negative, infinite and missing numbers are refused") {
  CHECK(mentions(refusal(parse_bytes, "-1 GB"), "not negative"));
  for (const char* text : {"nan GB", "inf GB", "infinity GB", "GB", "", " 5 GB", "+5 GB", "0x10 GB", "1e999 GB"}) {
    CAPTURE(text);
    CHECK(refusal(parse_bytes, text) != "accepted");
  }
  CHECK(refusal(parse_bytes, "1e308 GB") != "accepted");      // beyond the largest double once in bytes
  CHECK(refusal(parse_duration, "1e-320 ps") != "accepted");  // below the smallest
  CHECK_FALSE(std::signbit(parse_bytes("-0 B").value()));
}

TEST_CASE("quantities print in the unit a person would choose") {
  CHECK(to_string(Duration(121.4e-6)) == "121 us");
  CHECK(to_string(Duration(6.72e-6)) == "6.72 us");
  CHECK(to_string(Duration(0.0312)) == "31.2 ms");
  CHECK(to_string(Duration(3600)) == "3600 s");
  CHECK(to_string(Bandwidth(450e9)) == "450 GB/s");
  CHECK(to_string(Bandwidth(48.16e9)) == "48.2 GB/s");
  CHECK(to_string(Bandwidth(7.2e12)) == "7.20 TB/s");
  CHECK(to_string(Bytes(7168)) == "7.17 kB");
  CHECK(to_string(Bytes(12)) == "12.0 B");
  CHECK(to_string(FlopRate(989e12)) == "989 TFLOP/s");
  CHECK(to_string(FlopRate(1.44e18)) == "1.44 EFLOP/s");
  CHECK(to_string(Power(132e3)) == "132 kW");
  CHECK(to_string(Duration(-3.2e-6)) == "-3.20 us");
}

TEST_CASE("rounding up to a thousand moves to the next unit") {
  CHECK(to_string(Duration(999.4e-6)) == "999 us");
  CHECK(to_string(Duration(999.95e-6)) == "1.00 ms");
  CHECK(to_string(Duration(1e-3)) == "1.00 ms");
  CHECK(to_string(Bandwidth(999.96e9), 4) == "1.000 TB/s");
  CHECK(to_string(Duration(99.96e-6)) == "100 us");
}

TEST_CASE("zero, very small and very large quantities stay readable") {
  CHECK(to_string(Duration(0)) == "0 us");
  CHECK(to_string(Bytes(0)) == "0 B");
  CHECK(to_string(Bandwidth(0)) == "0 GB/s");
  CHECK(to_string(FlopRate(0)) == "0 TFLOP/s");
  CHECK(to_string(Power(0)) == "0 W");
  CHECK(to_string(Duration(1e-12)) == "1.00 ps");
  CHECK(to_string(Duration(1e-20)) == "1.00e-8 ps");
  CHECK(to_string(Duration(1e20)) == "1.00e20 s");
  CHECK(to_string(Bytes(0.5)) == "0.500 B");
  CHECK(to_string(Duration(std::numeric_limits<double>::infinity())) == "inf us");
}

TEST_CASE("whole digits are never rounded away") {
  CHECK(to_string(Bandwidth(454e9), 2) == "454 GB/s");
  CHECK(format_number(123456) == "123456");
  CHECK(format_number(123456.7) == "123457");
}

TEST_CASE("plain numbers avoid exponents for common magnitudes") {
  CHECK(format_number(0) == "0");
  CHECK(format_number(1.0) == "1.00");
  CHECK(format_number(99.96) == "100");
  CHECK(format_number(0.0625) == "0.0625");
  CHECK(format_number(0.000123456) == "0.000123");
  CHECK(format_number(0.0000123456) == "1.23e-5");
  CHECK(format_number(1e15) == "1.00e15");
  CHECK(format_number(-2.5) == "-2.50");
  CHECK(format_number(2.5, 9) == "2.5");
  CHECK(format_number(7, 1) == "7");
  CHECK(format_number(0.1, 17) == "0.1");
  CHECK(format_number(std::nan("")) == "nan");
  CHECK(format_number(-std::numeric_limits<double>::infinity()) == "-inf");
}

TEST_CASE("seventeen digits read back as the same value") {
  RandomStream stream(1, "units");
  for (int i = 0; i < 2000; ++i) {
    const double value = std::exp((stream.uniform() - 0.5) * 60);
    CAPTURE(value);
    CHECK(parse_duration(to_string(Duration(value), 17)).value() == value);
    CHECK(parse_bytes(to_string(Bytes(value), 17)).value() == value);
    CHECK(parse_bandwidth(to_string(Bandwidth(value), 17)).value() == value);
    CHECK(parse_flop_rate(to_string(FlopRate(value), 17)).value() == value);
    CHECK(parse_power(to_string(Power(value), 17)).value() == value);
    CHECK(parse_frequency(to_string(Frequency(value), 17)).value() == value);
    CHECK(std::stod(format_number(value, 17)) == value);
  }
}

TEST_CASE("printed digits are within half a unit of the last place") {
  RandomStream stream(2, "units");
  for (int i = 0; i < 2000; ++i) {
    const double value = std::exp((stream.uniform() - 0.5) * 40);
    CAPTURE(value);
    CHECK(parse_duration(to_string(Duration(value), 3)).value() == doctest::Approx(value).epsilon(0.00501));
  }
}

TEST_CASE("bytes over bandwidth is a duration") {
  CHECK((Bytes(450e9) / Bandwidth(450e9)).value() == 1);
  CHECK((Bandwidth(50e9) * Duration(2)).value() == 100e9);
  CHECK((Bytes(6e9) / Duration(2)).value() == 3e9);
  CHECK((Flops(1e12) / FlopRate(1e15)).value() == 1e-3);
  CHECK(Bytes(6) / Bytes(3) == 2);
}

}  // namespace
}  // namespace moesim::base
