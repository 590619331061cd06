#include "report/table.h"

#include <algorithm>
#include <sstream>

#include "base/error.h"

namespace moesim::report {

namespace {
constexpr char kJoint = '\x1f';  // stands for a space at which no line ends
}

Table::Table(std::vector<std::string> header) { rows_.push_back(std::move(header)); }

void Table::add_row(std::vector<std::string> cells) {
  MOESIM_CHECK(cells.size() == rows_.front().size(), "cells of a table's row");
  rows_.push_back(std::move(cells));
}

std::string Table::text(std::size_t width) const {
  const std::size_t columns = rows_.front().size();
  std::vector<std::size_t> widest(columns);
  for (const auto& row : rows_)
    for (std::size_t c = 0; c < columns; ++c) widest[c] = std::max(widest[c], row[c].size());
  std::string text;
  for (std::size_t first = 1, end = 1; first == 1 || first < columns; first = end) {
    std::size_t used = 2 + widest[0];
    for (end = first; end < columns && (end == first || used + 2 + widest[end] <= width); ++end)
      used += 2 + widest[end];
    if (first > 1) text += "\n";
    for (const auto& row : rows_) {
      std::string line = "  " + row[0] + std::string(widest[0] - row[0].size(), ' ');
      for (std::size_t c = first; c < end; ++c) line += "  " + std::string(widest[c] - row[c].size(), ' ') + row[c];
      line.erase(line.find_last_not_of(' ') + 1);
      text += line + "\n";
    }
    if (end >= columns) break;
  }
  return text;
}

std::string wrap(const std::string& text, std::size_t indent, std::size_t width) {
  std::string joined = text;  // "96.2 %" is one word
  for (std::size_t at = 0; (at = joined.find(" %", at)) != std::string::npos; ++at) joined[at] = kJoint;
  std::istringstream words(joined);
  std::string result, word;
  std::size_t column = 0;
  const std::size_t leading = text.find_first_not_of(' ');
  if (leading != std::string::npos) result.append(leading, ' ');
  column = result.size();
  bool first = true;
  while (words >> word) {
    if (!first && column + 1 + word.size() > width) {
      result += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (!first) {
      result += " ";
      ++column;
    }
    result += word;
    column += word.size();
    first = false;
  }
  std::replace(result.begin(), result.end(), kJoint, ' ');
  return result + "\n";
}

std::string list(const std::string& title, const std::vector<std::string>& items) {
  if (items.empty()) return "";
  std::string out = wrap(title, 2);
  for (const std::string& item : items) out += wrap("  - " + item, 4);
  return out;
}

}  // namespace moesim::report
