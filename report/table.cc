#include "report/table.h"

#include <algorithm>
#include <sstream>

#include "base/error.h"

namespace moesim::report {

Table::Table(std::vector<std::string> header) { rows_.push_back(std::move(header)); }

void Table::add_row(std::vector<std::string> cells) {
  MOESIM_CHECK(cells.size() == rows_.front().size(), "cells of a table's row");
  rows_.push_back(std::move(cells));
}

std::string Table::text() const {
  std::vector<std::size_t> width(rows_.front().size());
  for (const auto& row : rows_)
    for (std::size_t c = 0; c < row.size(); ++c) width[c] = std::max(width[c], row[c].size());
  std::string text;
  for (const auto& row : rows_) {
    std::string line = "  ";
    for (std::size_t c = 0; c < row.size(); ++c) {
      const std::string padding(width[c] - row[c].size(), ' ');
      line += c == 0 ? row[c] + padding : "  " + padding + row[c];
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string wrap(const std::string& text, std::size_t indent, std::size_t width) {
  std::istringstream words(text);
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
  return result + "\n";
}

}  // namespace moesim::report
