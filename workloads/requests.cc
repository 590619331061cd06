#include "workloads/requests.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <string_view>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/random.h"

namespace moesim::workloads {
namespace {

constexpr std::int64_t kMostTokens = std::int64_t{1} << 40;
constexpr std::string_view kAzureHeader = "TIMESTAMP,ContextTokens,GeneratedTokens";

struct Line {
  std::string place;  // "line 3"
  std::string_view text;
};

std::vector<Line> lines_of(std::string_view content) {
  std::vector<Line> lines;
  std::size_t number = 0;
  for (std::size_t begin = 0; begin < content.size();) {
    const std::size_t end = std::min(content.find('\n', begin), content.size());
    std::string_view text = content.substr(begin, end - begin);
    if (text.ends_with('\r')) text.remove_suffix(1);
    ++number;
    if (!text.empty()) lines.push_back({"line " + std::to_string(number), text});
    begin = end + 1;
  }
  return lines;
}

// "2023-11-16 18:17:03.9799600" in seconds since 1970; negative where it is none.
double seconds_of(const std::string& text) {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, used = 0;
  double second = 0;
  const int fields =
      std::sscanf(text.c_str(), "%4d-%2d-%2d%*1[ T]%2d:%2d:%n", &year, &month, &day, &hour, &minute, &used);
  if (fields != 5 || used == 0) return -1;
  const char* rest = text.c_str() + used;
  const auto [end, error] = std::from_chars(rest, text.c_str() + text.size(), second);
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (error != std::errc{} || end != text.c_str() + text.size() || !date.ok()) return -1;
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || !(second >= 0 && second < 61)) return -1;
  const auto days = static_cast<double>(std::chrono::sys_days(date).time_since_epoch().count());
  return (days * 24 + hour) * 3600 + minute * 60 + second;
}

std::int64_t tokens_of(std::string_view text, const std::string& file, const std::string& place) {
  std::int64_t value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 0 || value > kMostTokens)
    throw base::InputError(file, place, "\"" + std::string(text) + "\" is no number of tokens");
  return value;
}

std::vector<Request> read_azure(const std::vector<Line>& lines, const std::string& file) {
  std::vector<Request> requests;
  if (lines[0].text != kAzureHeader)
    throw base::InputError(file, lines[0].place, "unknown columns", std::string(kAzureHeader));
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const auto& [place, text] = lines[i];
    const auto first = text.find(','), second = text.find(',', first == text.npos ? first : first + 1);
    if (second == text.npos || text.find(',', second + 1) != text.npos)
      throw base::InputError(file, place, "not three columns", std::string(kAzureHeader));
    const std::string stamp(text.substr(0, first));
    const double at = seconds_of(stamp);
    if (at < 0)
      throw base::InputError(file, place, "\"" + stamp + "\" is no time", "as in 2023-11-16 18:17:03.9799600");
    requests.push_back({base::Duration(at), tokens_of(text.substr(first + 1, second - first - 1), file, place),
                        tokens_of(text.substr(second + 1), file, place)});
  }
  return requests;
}

std::vector<Request> read_mooncake(const std::vector<Line>& lines, const std::string& file) {
  std::vector<Request> requests;
  for (const auto& [place, text] : lines) {
    const base::JsonDocument document = base::parse_json(text, file + ", " + place);
    const base::JsonObject object(base::JsonNode(document), {"timestamp", "input_length", "output_length", "hash_ids"});
    requests.push_back({base::Duration(object.required("timestamp").number(0) / 1e3),
                        object.required("input_length").integer(0, kMostTokens),
                        object.required("output_length").integer(0, kMostTokens)});
  }
  return requests;
}

// Marsaglia and Tsang (2000); below shape 1 through shape + 1. Mean `shape`.
double draw_gamma(double shape, base::RandomStream& stream) {
  if (shape < 1) return draw_gamma(shape + 1, stream) * std::pow(1 - stream.uniform(), 1 / shape);
  const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = stream.normal(), v = std::pow(1 + c * x, 3);
    if (v > 0 && std::log(1 - stream.uniform()) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
  }
}

std::int64_t draw_length(const LengthLaw& law, base::RandomStream& stream) {
  const double variance = std::log1p(law.variation * law.variation);  // of the logarithm
  const double tokens = law.mean * std::exp(std::sqrt(variance) * stream.normal() - variance / 2);
  return std::llround(std::clamp(tokens, 1.0, static_cast<double>(law.longest)));
}

}  // namespace

std::vector<Request> read_requests(const std::string& path) {
  const bool azure = path.ends_with(".csv");
  if (!azure && !path.ends_with(".jsonl"))
    throw base::InputError(path, "", "unknown kind of request stream", "a name ending in .csv or .jsonl");
  const std::string content = base::read_file(path);
  const std::vector<Line> lines = lines_of(content);
  std::vector<Request> requests;
  if (!lines.empty()) requests = azure ? read_azure(lines, path) : read_mooncake(lines, path);
  if (requests.empty()) throw base::InputError(path, "", "no requests", "one a line");
  std::stable_sort(requests.begin(), requests.end(),
                   [](const Request& a, const Request& b) { return a.arrival < b.arrival; });
  const base::Duration first = requests.front().arrival;
  for (Request& request : requests) request.arrival -= first;
  return requests;
}

std::vector<Request> generate_requests(const RequestLaw& law, std::int64_t count) {
  MOESIM_CHECK(law.requests_per_second > 0 && law.gap_variation >= 0 && count >= 0, "a law of requests");
  MOESIM_CHECK(law.input.mean >= 1 && law.output.mean >= 1, "lengths of at least one token");
  base::RandomStream gaps(law.seed, "request gaps"), input(law.seed, "request input"),
      output(law.seed, "request output");
  const double variance = law.gap_variation * law.gap_variation;
  std::vector<Request> requests;
  double now = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    requests.push_back({base::Duration(now), draw_length(law.input, input), draw_length(law.output, output)});
    now += (variance > 0 ? draw_gamma(1 / variance, gaps) * variance : 1) / law.requests_per_second;
  }
  return requests;
}

}  // namespace moesim::workloads
