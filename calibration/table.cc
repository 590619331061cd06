#include "calibration/table.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/file.h"
#include "base/json.h"

namespace moesim::calibration {
namespace {

std::string trimmed(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return std::string(text);
}

std::vector<std::string> cells_of(std::string_view line) {
  std::vector<std::string> cells;
  for (std::size_t begin = 0; begin <= line.size();) {
    const std::size_t end = std::min(line.find(',', begin), line.size());
    cells.push_back(trimmed(line.substr(begin, end - begin)));
    begin = end + 1;
  }
  return cells;
}

std::string quoted(const std::string& text) { return "\"" + text + "\""; }

std::string in_line(std::size_t line) { return "line " + std::to_string(line); }

}  // namespace

Table Table::read(const std::string& path) { return parse(base::read_file(path), path); }

Table Table::parse(std::string_view text, std::string file) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // byte-order mark
  Table table;
  table.file_ = std::move(file);
  std::size_t number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = trimmed(text.substr(begin, end - begin));
    begin = end + 1;
    ++number;
    if (line.empty()) continue;
    if (line.find('"') != std::string::npos || line.find('\0') != std::string::npos)
      throw base::InputError(table.file_, in_line(number), "quoted or binary text", "plain comma-separated cells");
    std::vector<std::string> cells = cells_of(line);
    if (table.columns_.empty()) {
      table.columns_ = std::move(cells);
      for (auto column = table.columns_.begin(); column != table.columns_.end(); ++column) {
        if (column->empty()) throw base::InputError(table.file_, in_line(number), "a column without a name");
        if (std::find(table.columns_.begin(), column, *column) != column)
          throw base::InputError(table.file_, in_line(number), "the column " + quoted(*column) + " occurs twice");
      }
      continue;
    }
    if (cells.size() != table.columns_.size()) {
      throw base::InputError(table.file_, in_line(number), std::to_string(cells.size()) + " cells",
                             std::to_string(table.columns_.size()) + " as in the header");
    }
    table.line_.push_back(number);
    std::move(cells.begin(), cells.end(), std::back_inserter(table.cells_));
  }
  if (table.columns_.empty()) throw base::InputError(table.file_, "", "is empty", "a header line and rows");
  if (table.line_.empty()) throw base::InputError(table.file_, "", "has a header but no rows", "at least one row");
  return table;
}

bool Table::has(std::string_view column) const {
  return std::find(columns_.begin(), columns_.end(), column) != columns_.end();
}

std::size_t Table::index(std::string_view column) const {
  const auto found = std::find(columns_.begin(), columns_.end(), column);
  if (found == columns_.end()) {
    throw base::InputError(file_, "",
                           "has no column \"" + std::string(column) + "\"" + base::suggestion(column, columns_));
  }
  return static_cast<std::size_t>(found - columns_.begin());
}

const std::string& Table::text(std::size_t row, std::string_view column) const {
  const std::string& cell = cells_[row * columns_.size() + index(column)];
  if (cell.empty()) fail(row, column, "is empty");
  return cell;
}

double Table::number(std::size_t row, std::string_view column) const {
  const std::string& cell = text(row, column);
  double value = 0;
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (error != std::errc() || end != cell.data() + cell.size() || !std::isfinite(value))
    fail(row, column, "is " + quoted(cell), "a finite number without a unit");
  return value;
}

std::int64_t Table::integer(std::size_t row, std::string_view column, std::int64_t lowest) const {
  const double value = number(row, column);
  if (value != std::floor(value) || value < static_cast<double>(lowest) || value > 9e15) {
    fail(row, column, "is " + quoted(text(row, column)), "a whole number of at least " + std::to_string(lowest));
  }
  return static_cast<std::int64_t>(value);
}

double Table::time_us(std::size_t row, std::string_view column) const {
  const double value = number(row, column);
  if (value <= 0) fail(row, column, "is " + quoted(text(row, column)), "a time in microseconds, greater than 0");
  return value;
}

std::size_t Table::one_of(std::size_t row, std::string_view column,
                          std::initializer_list<std::string_view> accepted) const {
  const std::string& cell = text(row, column);
  const auto found = std::find(accepted.begin(), accepted.end(), cell);
  if (found == accepted.end()) {
    fail(row, column,
         "is " + quoted(cell) + base::suggestion(cell, std::vector<std::string>(accepted.begin(), accepted.end())));
  }
  return static_cast<std::size_t>(found - accepted.begin());
}

void Table::fail(std::size_t row, std::string_view column, const std::string& problem,
                 const std::string& expected) const {
  throw base::InputError(file_, in_line(line_[row]), "column \"" + std::string(column) + "\" " + problem, expected);
}

std::string Table::csv(const std::vector<Column>& more) const {
  std::string out;
  const auto append = [&](const std::string& cell, bool first) {
    if (!first) out += ',';
    out += cell;
  };
  for (std::size_t c = 0; c < columns_.size(); ++c) append(columns_[c], c == 0);
  for (const Column& column : more) append(column.name, false);
  out += '\n';
  for (std::size_t row = 0; row < rows(); ++row) {
    for (std::size_t c = 0; c < columns_.size(); ++c) append(cells_[row * columns_.size() + c], c == 0);
    for (const Column& column : more) append(column.cells[row], false);
    out += '\n';
  }
  return out;
}

}  // namespace moesim::calibration
