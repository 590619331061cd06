#include "report/scatter.h"

#include <doctest/doctest.h>

namespace moesim::report {
namespace {

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t n = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

}  // namespace

TEST_CASE("every point apart from others is a dot, and names are escaped") {
  ScatterPlot plot{"a < b & c", "x",  "y",   true,
                   true,        true, false, {{"one", {{1, 1}, {10, 100}, {1, 1}}}, {"two", {{5, 5}}}}};
  const std::string text = svg(plot);
  CHECK(count(text, "h0") == 3);
  CHECK(text.find("a &lt; b &amp; c") != std::string::npos);
  CHECK(count(text, "stroke-dasharray") == 1);
  CHECK(text.ends_with("</svg>\n"));
}

TEST_CASE("points without a logarithm are left out, and an empty plot is still a picture") {
  CHECK(count(svg({"", "", "", true, true, false, false, {{"s", {{0, 1}, {-1, 1}, {1, 1}}}}}), "h0") == 1);
  CHECK(svg({"empty", "", "", true, true, true, true, {}}).ends_with("</svg>\n"));
  CHECK(count(svg({"", "", "", true, false, false, true, {{"s", {{1, -0.5}, {2, 0.5}}}}}), "h0") == 2);
}

}  // namespace moesim::report
