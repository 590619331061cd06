// A scatter plot as an SVG file, drawn without any library.
#pragma once

#include <string>
#include <vector>

namespace moesim::report {

struct ScatterSeries {
  std::string name;
  std::vector<std::pair<double, double>> points;
};

struct ScatterPlot {
  std::string title;
  std::string x_label, y_label;
  bool log_x = true, log_y = true;  // points that are not positive are left out of a logarithmic axis
  bool diagonal = false;            // the line y = x
  bool zero_line = false;           // the line y = 0
  std::vector<ScatterSeries> series;
};

// Points of one series within two pixels of each other are drawn once.
std::string svg(const ScatterPlot& plot);

}  // namespace moesim::report
