#include "workloads/jsonl_trace.h"

#include <numeric>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"

namespace moesim::workloads {
namespace {

struct Line {
  std::size_t number = 0;  // in the file, from 1
  std::size_t first = 0;   // of its ids
  std::int64_t tokens = 0;
};

// Appends the ids of one line to `ids` as the parser meets them. Depth 1 is the line's object, 2 the list of tokens, 3
// one token; inside other keys everything is skipped.
class LineReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  LineReader(const std::string& file, std::vector<std::uint16_t>& ids, std::int32_t& top_k)
      : file_(file), ids_(ids), top_k_(top_k) {}

  Line read(std::string_view text, std::size_t number) {
    line_ = {number, ids_.size(), 0};
    depth_ = 0;
    in_ids_ = found_ = false;
    nlohmann::json::sax_parse(text.begin(), text.end(), this);
    if (!found_) fail("no key \"topk_ids\"", "{\"topk_ids\": [[ids of a token], ...]}");
    return line_;
  }

  bool null() override { return scalar("null"); }
  bool boolean(bool value) override { return scalar(value ? "true" : "false"); }
  bool number_float(double, const std::string& text) override { return scalar(text); }
  bool string(std::string& text) override { return scalar('"' + text + '"'); }
  bool binary(nlohmann::json::binary_t&) override { return scalar("binary"); }
  bool number_integer(std::int64_t value) override { return id(value, std::to_string(value)); }
  bool number_unsigned(std::uint64_t value) override {
    const bool fits = value <= static_cast<std::uint64_t>(kMaxExpertId);
    return id(fits ? static_cast<std::int64_t>(value) : kMaxExpertId + 1, std::to_string(value));
  }
  bool start_object(std::size_t) override {
    if (in_ids_) fail("an object in \"topk_ids\"", "a list of ids for each token");
    ++depth_;
    return true;
  }
  bool key(std::string& name) override {
    if (depth_ != 1) return true;
    in_ids_ = name == "topk_ids";
    if (in_ids_ && found_) fail("duplicate key \"topk_ids\"", "each key once");
    found_ = found_ || in_ids_;
    return true;
  }
  bool end_object() override {
    --depth_;
    return true;
  }
  bool start_array(std::size_t) override {
    if (depth_ == 0) fail("not an object", "an object in { }");
    ++depth_;
    if (in_ids_ && depth_ > 3) fail("\"topk_ids\" is nested too deeply", "[[ids of a token], ...]");
    if (in_ids_ && depth_ == 3) token_first_ = ids_.size();
    return true;
  }
  bool end_array() override {
    if (in_ids_ && depth_ == 3) end_token();
    --depth_;
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) override {
    fail("not valid JSON at column " + std::to_string(position));
  }

 private:
  [[noreturn]] void fail(const std::string& problem, const std::string& expected = "") const {
    throw base::InputError(file_, "line " + std::to_string(line_.number), problem, expected);
  }
  std::string token_text() const { return "token " + std::to_string(line_.tokens); }

  bool scalar(const std::string& text) {
    if (depth_ == 0) fail("not an object", "an object in { }");
    if (in_ids_) fail(token_text() + ": " + text + " in \"topk_ids\"", "whole numbers, a list for each token");
    return true;
  }
  bool id(std::int64_t value, const std::string& text) {
    if (!in_ids_ || depth_ != 3) return scalar(text);
    if (value < -1 || value > kMaxExpertId)
      fail(token_text() + ": expert id " + text + " out of range",
           "0 to " + std::to_string(kMaxExpertId) + ", or -1 for padding");
    ids_.push_back(value == -1 ? kPaddingId : static_cast<std::uint16_t>(value));
    return true;
  }
  void end_token() {
    const std::size_t count = ids_.size() - token_first_;
    if (count == 0 || count > 0xffff) fail(token_text() + ": " + std::to_string(count) + " ids", "1 to 65535");
    if (top_k_ == 0) top_k_ = static_cast<std::int32_t>(count);
    if (count != static_cast<std::size_t>(top_k_))
      fail(token_text() + ": " + std::to_string(count) + " ids", std::to_string(top_k_) + " as in the tokens before");
    ++line_.tokens;
  }

  const std::string& file_;
  std::vector<std::uint16_t>& ids_;
  std::int32_t& top_k_;
  Line line_;
  int depth_ = 0;
  bool in_ids_ = false;
  bool found_ = false;
  std::size_t token_first_ = 0;
};

std::int32_t infer_layers(const std::vector<Line>& lines) {
  std::size_t divisor = 0, run = 0;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    ++run;
    if (i + 1 < lines.size() && lines[i + 1].tokens == lines[i].tokens) continue;
    divisor = std::gcd(divisor, run);
    run = 0;
  }
  return static_cast<std::int32_t>(divisor);
}

void check_passes(const std::vector<Line>& lines, std::size_t layers, const std::string& file) {
  MOESIM_CHECK(layers > 0, "layers of a trace");
  if (lines.size() % layers != 0)
    throw base::InputError(
        file, "",
        std::to_string(lines.size()) + " lines are not whole passes of " + std::to_string(layers) + " layers");
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const Line& first = lines[i - i % layers];
    if (lines[i].tokens != first.tokens)
      throw base::InputError(
          file, "line " + std::to_string(lines[i].number),
          std::to_string(lines[i].tokens) + " tokens in a pass of " + std::to_string(layers) + " layers",
          std::to_string(first.tokens) + " as in line " + std::to_string(first.number));
  }
}

}  // namespace

Trace read_jsonl_trace(const std::string& path, std::int32_t layers) {
  const std::string content = base::read_file(path);
  Trace trace;
  std::vector<std::uint16_t> ids;
  std::vector<Line> lines;
  LineReader reader(path, ids, trace.top_k);
  std::size_t number = 0;
  for (std::size_t begin = 0; begin < content.size();) {
    const std::size_t end = std::min(content.find('\n', begin), content.size());
    const std::string_view text = std::string_view(content).substr(begin, end - begin);
    ++number;
    if (text.find_first_not_of(" \t\r") != std::string_view::npos) lines.push_back(reader.read(text, number));
    begin = end + 1;
  }
  if (lines.empty()) throw base::InputError(path, "", "no lines", "one line per layer of each forward pass");

  trace.layers = layers > 0 ? layers : infer_layers(lines);
  const auto per_pass = static_cast<std::size_t>(trace.layers);
  check_passes(lines, per_pass, path);
  trace.passes = {0};
  for (std::size_t i = 0; i < lines.size(); i += per_pass)
    trace.passes.push_back(trace.passes.back() + lines[i].tokens);
  trace.tokens = trace.passes.back();
  trace.source = path + " (content " + base::content_hash(content) + ")";
  trace.ids.reserve(ids.size());
  for (std::size_t layer = 0; layer < per_pass; ++layer) {
    for (std::size_t i = layer; i < lines.size(); i += per_pass) {
      const auto first = ids.begin() + static_cast<std::ptrdiff_t>(lines[i].first);
      trace.ids.insert(trace.ids.end(), first, first + lines[i].tokens * trace.top_k);
    }
  }
  finish_trace(trace, path);
  return trace;
}

}  // namespace moesim::workloads
