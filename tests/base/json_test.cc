#include "base/json.h"

#include <cmath>
#include <limits>
#include <string>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/base/input_error.h"

namespace moesim::base {
namespace {

using tests::input_error;

std::string refusal(std::string_view text) {
  return input_error([&] { parse_json(text, "x.json"); });
}

// The InputError that reading member "v" of {"v": `value`} ends in.
template <class Read>
std::string member_refusal(const std::string& value, Read read) {
  const JsonDocument document = parse_json(R"({"v": )" + value + "}", "x.json");
  return input_error([&] { read(JsonNode(document).member("v")); });
}

TEST_CASE("a syntax error names line and column and what was met there") {
  CHECK(refusal(R"({"a": NaN})") == "x.json: line 1, column 7: not valid JSON: unexpected NaN");
  CHECK(refusal("{\"a\": 1,\n \"b\": tru}") == "x.json: line 2, column 7: not valid JSON: unexpected tru");
  CHECK(refusal("{\"a\": 1,\n}") ==
        "x.json: line 2, column 1: not valid JSON: unexpected '}'; expected text in quotes");
  CHECK(refusal(R"({"a": [1 2]})") ==
        "x.json: line 1, column 10: not valid JSON: unexpected number literal; expected ',' or ']'");
  CHECK(refusal(R"({"a": 1} x)") == "x.json: line 1, column 10: not valid JSON: unexpected x; expected end of input");
  CHECK(refusal("{\"a\":\n\n[1, 2").starts_with("x.json: line 3, column 6: not valid JSON: unexpected end of input"));
  CHECK(refusal("").starts_with("x.json: line 1, column 1: not valid JSON: unexpected end of input"));
  CHECK(refusal("{\"a\": \"\xff\"}") ==
        "x.json: line 1, column 8: not valid JSON: invalid string: ill-formed UTF-8 byte");
}

TEST_CASE("no syntax error shows the parser's own jargon") {
  for (const char* text :
       {"{\"a\": NaN}", "{a: 1}", "{\"a\": 'x'}", "{\"a\": -q}", "{\"a\": \"x\ny\"}", "[1, 2", "// x"}) {
    CAPTURE(text);
    const std::string message = refusal(text);
    CHECK(message.find("json.exception") == std::string::npos);
    CHECK(message.find("last read") == std::string::npos);
    CHECK(message.find("while parsing") == std::string::npos);
  }
}

TEST_CASE("a number that no double holds is refused at its pointer") {
  CHECK(refusal(R"({"a": [1, {"b": 1e999}]})") == "x.json: /a/1/b: number overflow parsing '1e999'");
}

TEST_CASE("a duplicate key is refused with its pointer") {
  CHECK(refusal(R"({"a": 1, "a": 2})") == "x.json: /a: duplicate key \"a\"; expected each key once");
  CHECK(refusal(R"({"l": [{"k": 1}, {"k": 1, "j": {}, "k": 2}]})").starts_with("x.json: /l/1/k: duplicate key \"k\""));
  CHECK(refusal(R"({"a/b": {"~": 1, "~": 2}})").starts_with("x.json: /a~1b/~0: duplicate key"));
}

TEST_CASE("one key in two objects is no duplicate") {
  const JsonDocument document = parse_json(R"({"a": {"k": 1}, "b": {"k": 2}, "c": [{"k": 3}, {"k": 4}]})", "x.json");
  CHECK(JsonNode(document).member("c").at(1).member("k").integer(0, 9) == 4);
}

TEST_CASE("bottomless nesting is refused before anything recurses over it") {
  CHECK(refusal(std::string(100000, '[')).find("nested more than 100 deep") != std::string::npos);
  CHECK_NOTHROW(parse_json(std::string(100, '[') + std::string(100, ']'), "x.json"));
}

TEST_CASE("an unknown key is refused before a missing one, with the nearest accepted key") {
  const JsonDocument document = parse_json(R"({"step": {"tokens_per_gpus": 8}})", "x.json");
  const auto read = [&] {
    const JsonObject step(JsonNode(document).member("step"), {"layer", "tokens_per_gpu"});
    step.required("layer");
  };
  CHECK(input_error(read) == "x.json: /step: unknown key \"tokens_per_gpus\"; did you mean \"tokens_per_gpu\"?");
}

TEST_CASE("an unknown key unlike any accepted one is answered with all of them") {
  const JsonDocument document = parse_json(R"({"zebra": 8})", "x.json");
  CHECK(input_error([&] {
          JsonObject(JsonNode(document), {"layer", "phase"});
        }) == "x.json: /: unknown key \"zebra\"; one of layer, phase");
}

TEST_CASE("a missing key is named at its object") {
  const JsonDocument document = parse_json(R"({"step": {}})", "x.json");
  const JsonObject step(JsonNode(document).member("step"), {"layer"});
  CHECK(input_error([&] { step.required("layer"); }) == "x.json: /step: missing key \"layer\"");
  CHECK_FALSE(step.has("layer"));
  CHECK_FALSE(step.optional("layer").has_value());
  CHECK(step.get("layer", 30, [](const JsonNode& n) { return n.integer(0, 99); }) == 30);
}

TEST_CASE("an object read from something else is refused") {
  const JsonDocument document = parse_json("[1]", "x.json");
  CHECK(input_error([&] { JsonObject(JsonNode(document), {"a"}); }) ==
        "x.json: /: not an object, got [1]; expected an object in { }");
}

TEST_CASE("each typed read says file, pointer, value and what would be right") {
  CHECK(member_refusal("7", [](const JsonNode& n) { n.string(); }) ==
        "x.json: /v: not a text, got 7; expected a text in quotes");
  CHECK(member_refusal("1", [](const JsonNode& n) { n.boolean(); }) ==
        "x.json: /v: not a truth value, got 1; expected true or false");
  CHECK(member_refusal("\"1\"", [](const JsonNode& n) { n.number(); }) ==
        "x.json: /v: not a number, got \"1\"; expected a number");
  CHECK(member_refusal("1.5", [](const JsonNode& n) { n.number(0, 1); }) ==
        "x.json: /v: out of range, got 1.5; expected a finite number of at least 0 and at most 1");
  CHECK(member_refusal("3.5", [](const JsonNode& n) { n.integer(0, 10); }) ==
        "x.json: /v: not a whole number, got 3.5; expected a whole number from 0 to 10");
  CHECK(member_refusal("11", [](const JsonNode& n) { n.integer(0, 10); }) ==
        "x.json: /v: out of range, got 11; expected a whole number from 0 to 10");
  CHECK(member_refusal("\"decod\"", [](const JsonNode& n) {
          n.one_of({"prefill", "decode"});
        }) == "x.json: /v: not one of the accepted words, got \"decod\"; expected prefill, decode");
  CHECK(member_refusal("{}", [](const JsonNode& n) { n.size(); }) ==
        "x.json: /v: not a list, got {}; expected a list in [ ]");
}

TEST_CASE("a bare number for a quantity is refused with an example") {
  CHECK(member_refusal("450", [](const JsonNode& n) { n.bandwidth(); }) ==
        "x.json: /v: a bandwidth without a unit, got 450; expected a text such as \"450 GB/s\"");
  CHECK(member_refusal("1.5", [](const JsonNode& n) { n.duration(); }) ==
        "x.json: /v: a duration without a unit, got 1.5; expected a text such as \"1.5 us\"");
  CHECK(member_refusal("true", [](const JsonNode& n) { n.bytes(); }) ==
        "x.json: /v: not a number of bytes, got true; expected a text such as \"141 GiB\"");
  CHECK(member_refusal("\"5 min\"", [](const JsonNode& n) { n.duration(); }) ==
        "x.json: /v: not a duration, got \"5 min\"; expected one of the units s, ms, us, ns, ps");
}

TEST_CASE("bandwidths and rates of zero are refused, durations of zero are not") {
  CHECK(member_refusal("\"0 GB/s\"", [](const JsonNode& n) { n.bandwidth(); }).find("above zero") != std::string::npos);
  CHECK(member_refusal("\"0 TFLOP/s\"", [](const JsonNode& n) { n.flop_rate(); }).find("above zero") !=
        std::string::npos);
  const JsonDocument document = parse_json(R"({"v": "0 us"})", "x.json");
  CHECK(JsonNode(document).member("v").duration() == Duration(0));
}

TEST_CASE("whole numbers keep every digit and refuse what no 64-bit integer holds") {
  const auto read = [](const std::string& text) {
    const JsonDocument document = parse_json(text, "x.json");
    return JsonNode(document).integer(std::numeric_limits<std::int64_t>::min(),
                                      std::numeric_limits<std::int64_t>::max());
  };
  CHECK(read("9007199254740993") == 9007199254740993);  // 2^53 + 1: no double
  CHECK(read("-9007199254740993") == -9007199254740993);
  CHECK(read("3.0") == 3);
  CHECK(read("1e3") == 1000);
  CHECK_THROWS_AS(read("9223372036854775808"), InputError);  // 2^63
  CHECK_THROWS_AS(read("18446744073709551615"), InputError);
  CHECK_THROWS_AS(read("1e300"), InputError);
}

TEST_CASE("good values are read") {
  const JsonDocument document = parse_json(
      R"({"t": "us", "b": true, "x": -2.5, "l": [1, null], "w": "700 W", "f": "1 PFLOP/s", "m": "1 GiB"})", "x.json");
  const JsonNode root(document);
  CHECK(root.member("t").string() == "us");
  CHECK(root.member("b").boolean());
  CHECK(root.member("x").number() == -2.5);
  CHECK(root.member("l").size() == 2);
  CHECK(root.member("l").at(1).is_null());
  CHECK(root.member("l").at(1).pointer() == "/l/1");
  CHECK(root.member("t").one_of({"s", "us"}) == 1);
  CHECK(root.member("w").power() == Power(700));
  CHECK(root.member("f").flop_rate() == FlopRate(1e15));
  CHECK(root.member("m").bytes() == Bytes(std::exp2(30)));
}

TEST_CASE("a long value is cut in the message") {
  const std::string message = member_refusal('"' + std::string(500, 'x') + '"', [](const JsonNode& n) { n.number(); });
  CHECK(message.size() < 150);
  CHECK(message.find("xxx...") != std::string::npos);
}

TEST_CASE("a value that the problem already quotes is not repeated") {
  const auto unknown = [](const JsonNode& n) {
    n.fail("unknown preset \"" + n.string() + "\"" + suggestion(n.string(), {"gb200_nvl72", "hgx_h100"}));
  };
  CHECK(member_refusal("\"GB200-NVL72\"", unknown) ==
        "x.json: /v: unknown preset \"GB200-NVL72\"; did you mean \"gb200_nvl72\"?");
}

TEST_CASE("slips are near and other words are not") {
  const std::vector<std::string> words{"prefill", "decode", "ep", "seed"};
  CHECK(did_you_mean("decod", words) == "decode");
  CHECK(did_you_mean("Prefil", words) == "prefill");
  CHECK(did_you_mean("sede", words) == "seed");
  CHECK_FALSE(did_you_mean("train", words).has_value());
  CHECK_FALSE(did_you_mean("xyz", words).has_value());
  CHECK(suggestion("train", words) == "; one of prefill, decode, ep, seed");
  CHECK(suggestion("nccl", {"nccl_all_reduce", "fused", "nccl_all_to_all"}) ==
        "; did you mean one of nccl_all_reduce, nccl_all_to_all?");
}

}  // namespace
}  // namespace moesim::base
