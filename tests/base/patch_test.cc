#include "base/patch.h"

#include <string>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/base/input_error.h"

namespace moesim::base {
namespace {

using tests::input_error;

const char* const kScenario =
    R"({"cluster": {"preset": "hgx_h100"}, "step": {"layer": 30, "tokens": 128}, "list": [1, {"x": 2}], "none": null})";

JsonDocument scenario() { return parse_json(kScenario, "s.json"); }

Json after_set(const std::string& assignment) {
  JsonDocument document = scenario();
  apply_set(document, assignment);
  return *document.root;
}

std::string refusal(const std::string& assignment) {
  return input_error([&] { after_set(assignment); });
}

TEST_CASE("--set replaces a value with JSON or, when it is none, a text") {
  CHECK(after_set("step.tokens=64")["step"]["tokens"] == 64);
  CHECK(after_set("step.tokens=1.5e3")["step"]["tokens"] == 1500.0);
  CHECK(after_set("step.tokens=true")["step"]["tokens"] == true);
  CHECK(after_set("step.tokens=null")["step"]["tokens"].is_null());
  CHECK(after_set("step.tokens=[1, 2]")["step"]["tokens"] == Json::array({1, 2}));
  CHECK(after_set("cluster.preset=gb200_nvl72")["cluster"]["preset"] == "gb200_nvl72");
  CHECK(after_set("cluster.preset=\"gb200 nvl72\"")["cluster"]["preset"] == "gb200 nvl72");
  CHECK(after_set("step.latency=1.5 us")["step"]["latency"] == "1.5 us");
  CHECK(after_set("step.note=a=b")["step"]["note"] == "a=b");
  CHECK(after_set("step.note=")["step"]["note"] == "");
}

TEST_CASE("--set leaves everything else as it was") {
  Json expected = *scenario().root;
  expected["step"]["tokens"] = 64;
  CHECK(after_set("step.tokens=64") == expected);
}

TEST_CASE("--set creates the objects on its way") {
  CHECK(after_set("routing.generate.seed=7")["routing"]["generate"]["seed"] == 7);
  CHECK(after_set("none.a=1")["none"]["a"] == 1);
  JsonDocument empty = parse_json("{}", "s.json");
  apply_set(empty, "a.b=1");
  CHECK(*empty.root == Json::parse(R"({"a": {"b": 1}})"));
}

TEST_CASE("a number in the path indexes a list") {
  CHECK(after_set("list.0=9")["list"] == Json::parse(R"([9, {"x": 2}])"));
  CHECK(after_set("list.1.x=9")["list"] == Json::parse(R"([1, {"x": 9}])"));
  CHECK(refusal("list.2=9") == "--set list.2=9: /list/2: no such element; expected an index below 2");
  CHECK(refusal("list.x=9") == "--set list.x=9: /list/x: no such element; expected an index below 2");
  CHECK(refusal("list.-1=9").find("no such element") != std::string::npos);
}

TEST_CASE("an assignment that cannot be carried out is refused") {
  CHECK(refusal("step.tokens") ==
        "--set step.tokens: not an assignment; expected path=value, such as step.tokens_per_gpu=64");
  CHECK(refusal("=5").find("not an assignment") != std::string::npos);
  CHECK(refusal("step..tokens=5").find("an empty step in the path") != std::string::npos);
  CHECK(refusal("step.=5").find("an empty step in the path") != std::string::npos);
  CHECK(refusal(".step=5").find("an empty step in the path") != std::string::npos);
  CHECK(refusal("step.layer.x=5") == "--set step.layer.x=5: /step/layer/x: its parent is not an object or list");
}

TEST_CASE("a value that begins as JSON must be JSON") {
  CHECK(refusal("step={\"layer\": 1").starts_with("--set step={\"layer\": 1: line 1, column 12: not valid JSON"));
  CHECK(refusal("step={\"layer\": 1, \"layer\": 2}").find("duplicate key \"layer\"") != std::string::npos);
  CHECK(refusal("step.x=[1, 2").find("not valid JSON") != std::string::npos);
  CHECK(refusal("step.x=\"a").find("not valid JSON") != std::string::npos);
}

// The error of reading step as {layer: whole number, tokens: whole number}.
std::string step_error(const JsonDocument& document) {
  return input_error([&] {
    const JsonObject step(JsonNode(document).member("step"), {"layer", "tokens"});
    step.required("layer").integer(0, 99);
    step.required("tokens").integer(0, 999);
  });
}

TEST_CASE("an error about a value that --set gave names the assignment") {
  JsonDocument document = scenario();
  apply_set(document, "step.tokens=many");
  CHECK(step_error(document).starts_with("--set step.tokens=many: /step/tokens: not a number, got \"many\""));
}

TEST_CASE("an error about a value that --set did not touch names the file") {
  JsonDocument document = parse_json(R"({"step": {"layer": "x", "tokens": 1}})", "s.json");
  apply_set(document, "step.tokens=5");
  CHECK(step_error(document).starts_with("s.json: /step/layer"));
}

TEST_CASE("a key or object that only --set brought in is blamed on it") {
  JsonDocument misspelt = scenario();
  apply_set(misspelt, "step.token=5");
  CHECK(step_error(misspelt) == "--set step.token=5: /step: unknown key \"token\"; did you mean \"tokens\"?");
  JsonDocument nested = scenario();
  apply_set(nested, "step.more.deep=5");
  CHECK(step_error(nested).starts_with("--set step.more.deep=5: /step: unknown key \"more\""));
}

TEST_CASE("the last patch of a value is the one that errors name") {
  JsonDocument document = scenario();
  apply_set(document, "step.tokens=5");
  apply_set(document, "step={\"layer\": 1, \"tokens\": \"many\"}");
  CHECK(step_error(document).starts_with("--set step={"));
  apply_set(document, "step.tokens=lots");
  CHECK(step_error(document).starts_with("--set step.tokens=lots"));
}

TEST_CASE("a merge patch follows the example of RFC 7396") {
  JsonDocument document = parse_json(
      R"({"title": "Goodbye!", "author": {"givenName": "John", "familyName": "Doe"},
          "tags": ["example", "sample"], "content": "This will be unchanged"})",
      "s.json");
  apply_merge_patch(document, Json::parse(R"({"title": "Hello!", "phoneNumber": "+01-123-456-7890",
                                    "author": {"familyName": null}, "tags": ["example"]})"),
                    "patch.json");
  CHECK(*document.root == Json::parse(R"({"title": "Hello!", "author": {"givenName": "John"}, "tags": ["example"],
                                          "content": "This will be unchanged", "phoneNumber": "+01-123-456-7890"})"));
}

TEST_CASE("errors about what a merge patch changed, added or removed name it, and no others do") {
  JsonDocument document = scenario();
  apply_merge_patch(document, Json::parse(R"({"step": {"tokens": "many"}})"), "patch.json");
  CHECK(step_error(document).starts_with("patch.json: /step/tokens: not a number"));

  document = scenario();
  apply_merge_patch(document, Json::parse(R"({"step": {"layer": null}})"), "patch.json");
  CHECK(step_error(document) == "patch.json: /step: missing key \"layer\"");

  document = scenario();
  apply_merge_patch(document, Json::parse(R"({"step": {"a/b": {"c": 1}}})"), "patch.json");
  CHECK(step_error(document).starts_with("patch.json: /step: unknown key \"a/b\""));

  document = parse_json(R"({"step": {"layer": "x", "tokens": 1}})", "s.json");
  apply_merge_patch(document, Json::parse(R"({"step": {"tokens": 2}})"), "patch.json");
  CHECK(step_error(document).starts_with("s.json: /step/layer"));
}

TEST_CASE("a patched member does not claim a member whose name continues its own") {
  JsonDocument document = parse_json(R"({"step": {"layer": 1, "tokens": "x"}, "a": 1, "ab": 1})", "s.json");
  apply_set(document, "a=2");
  CHECK(input_error([&] { JsonNode(document).member("ab").string(); }).starts_with("s.json: /ab"));
}

}  // namespace
}  // namespace moesim::base
