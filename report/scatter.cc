#include "report/scatter.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>

#include "base/units.h"

namespace moesim::report {
namespace {

constexpr double kWidth = 760, kHeight = 560;
constexpr double kLeft = 70, kRight = 190, kTop = 40, kBottom = 56;

constexpr std::array<const char*, 10> kColours{"#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e",
                                               "#17becf", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22"};

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else
      out += c;
  }
  return out;
}

std::string pixels(double x) { return base::format_number(std::round(10 * x) / 10, 5); }

struct Axis {
  bool log = true;
  double low = std::numeric_limits<double>::infinity(), high = -std::numeric_limits<double>::infinity();
  double from = 0, to = 1;  // pixels

  bool shows(double value) const { return std::isfinite(value) && (!log || value > 0); }
  void include(double value) {
    if (!shows(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  void close() {
    if (low > high) low = log ? 1 : 0, high = log ? 10 : 1;
    if (log) {
      low = std::pow(10, std::floor(std::log10(low)));
      high = std::pow(10, std::ceil(std::log10(high)));
      if (low == high) high *= 10;
    } else {
      const double margin = high > low ? 0.05 * (high - low) : 1;
      low -= margin;
      high += margin;
    }
  }
  double at(double value) const {
    const double share = log ? std::log(value / low) / std::log(high / low) : (value - low) / (high - low);
    return from + share * (to - from);
  }
  std::vector<double> ticks() const {
    std::vector<double> result;
    if (log) {
      const auto decades = std::lround(std::log10(high / low));
      for (long i = 0; i <= decades; ++i) result.push_back(low * std::pow(10, static_cast<double>(i)));
      return result;
    }
    const double raw = (high - low) / 6, unit = std::pow(10, std::floor(std::log10(raw)));
    double step = unit;
    for (const double factor : {2.0, 5.0, 10.0})
      if (step < raw) step = factor * unit;
    for (auto i = std::lround(std::ceil(low / step)); static_cast<double>(i) * step <= high; ++i)
      result.push_back(static_cast<double>(i) * step);
    return result;
  }
};

std::string tick_text(double value, bool log) {
  if (log && (value >= 1e6 || value < 1e-3)) return "1e" + std::to_string(std::lround(std::log10(value)));
  return (value < 0 ? "-" : "") + base::format_number(std::abs(value), 3);
}

std::string line(double x1, double y1, double x2, double y2, const char* style) {
  return "<line x1=\"" + pixels(x1) + "\" y1=\"" + pixels(y1) + "\" x2=\"" + pixels(x2) + "\" y2=\"" + pixels(y2) +
         "\" " + style + "/>\n";
}

std::string label(double x, double y, const std::string& text, const std::string& style = "") {
  return "<text x=\"" + pixels(x) + "\" y=\"" + pixels(y) + "\" " + style + ">" + escaped(text) + "</text>\n";
}

}  // namespace

std::string svg(const ScatterPlot& plot) {
  Axis x{plot.log_x}, y{plot.log_y};
  for (const ScatterSeries& series : plot.series) {
    for (const auto& [px, py] : series.points) {
      if (!x.shows(px) || !y.shows(py)) continue;
      x.include(px);
      y.include(py);
    }
  }
  if (plot.zero_line) y.include(0);
  x.close();
  y.close();
  x.from = kLeft, x.to = kWidth - kRight;
  y.from = kHeight - kBottom, y.to = kTop;

  std::string out = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + pixels(kWidth) + " " +
                    pixels(kHeight) + "\" font-family=\"sans-serif\" font-size=\"12\">\n" +
                    "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n";
  out += label(kLeft, 22, plot.title, "font-size=\"15\"");
  constexpr const char* kGrid = "stroke=\"#ddd\"";
  for (const double tick : x.ticks()) {
    out += line(x.at(tick), y.from, x.at(tick), y.to, kGrid);
    out += label(x.at(tick), y.from + 16, tick_text(tick, x.log), "text-anchor=\"middle\"");
  }
  for (const double tick : y.ticks()) {
    out += line(x.from, y.at(tick), x.to, y.at(tick), kGrid);
    out += label(x.from - 6, y.at(tick) + 4, tick_text(tick, y.log), "text-anchor=\"end\"");
  }
  out += label((x.from + x.to) / 2, kHeight - 14, plot.x_label, "text-anchor=\"middle\"");
  out += "<text transform=\"translate(16," + pixels((y.from + y.to) / 2) + ") rotate(-90)\" text-anchor=\"middle\">" +
         escaped(plot.y_label) + "</text>\n";

  std::size_t colour = 0;
  double legend = kTop + 12;
  for (const ScatterSeries& series : plot.series) {
    const char* const fill = kColours[colour++ % kColours.size()];
    // One path of dots: strokes without length, with round ends.
    out += std::string("<path stroke=\"") + fill +
           R"(" stroke-opacity="0.55" stroke-width="4" stroke-linecap="round" d=")";
    std::set<std::pair<long, long>> drawn;
    for (const auto& [px, py] : series.points) {
      if (!x.shows(px) || !y.shows(py)) continue;
      const double cx = x.at(px), cy = y.at(py);
      if (!drawn.emplace(std::lround(cx / 2), std::lround(cy / 2)).second) continue;
      out += "M" + std::to_string(std::lround(cx)) + " " + std::to_string(std::lround(cy)) + "h0";
    }
    out += "\"/>\n<circle cx=\"" + pixels(x.to + 16) + "\" cy=\"" + pixels(legend - 4) + "\" r=\"4\" fill=\"" + fill +
           "\"/>\n";
    out += label(x.to + 26, legend, series.name);
    legend += 18;
  }
  constexpr const char* kReference = "stroke=\"#333\" stroke-dasharray=\"5 4\"";
  if (plot.diagonal) {
    const double low = std::max(x.low, y.low), high = std::min(x.high, y.high);
    if (low < high) out += line(x.at(low), y.at(low), x.at(high), y.at(high), kReference);
  }
  if (plot.zero_line) out += line(x.from, y.at(0), x.to, y.at(0), kReference);
  out += "<rect x=\"" + pixels(x.from) + "\" y=\"" + pixels(y.to) + "\" width=\"" + pixels(x.to - x.from) +
         "\" height=\"" + pixels(y.from - y.to) + "\" fill=\"none\" stroke=\"#333\"/>\n</svg>\n";
  return out;
}

}  // namespace moesim::report
