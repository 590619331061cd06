// Measured tables: CSV with a header line, read whole and checked. A table that cannot be understood is one InputError
// with file and line.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace moesim::calibration {

class Table {
 public:
  // Throws InputError for an unreadable or empty file, one without rows, a repeated or empty column name, and rows with
  // more or fewer cells than the header.
  static Table read(const std::string& path);
  static Table parse(std::string_view text, std::string file);

  const std::string& file() const { return file_; }
  const std::vector<std::string>& columns() const { return columns_; }
  std::size_t rows() const { return line_.size(); }
  bool has(std::string_view column) const;
  // Whether a cell holds nothing: the functions below take that for an error.
  bool empty(std::size_t row, std::string_view column) const {
    return cells_[row * columns_.size() + index(column)].empty();
  }

  // All throw InputError with file, line, column, value and what would be right; a column that is not there is an
  // InputError too.
  const std::string& text(std::size_t row, std::string_view column) const;
  double number(std::size_t row, std::string_view column) const;  // finite
  std::int64_t integer(std::size_t row, std::string_view column, std::int64_t lowest = 0) const;
  double time_us(std::size_t row, std::string_view column) const;  // > 0
  // Which of `accepted` the text is.
  std::size_t one_of(std::size_t row, std::string_view column, std::initializer_list<std::string_view> accepted) const;

  [[noreturn]] void fail(std::size_t row, std::string_view column, const std::string& problem,
                         const std::string& expected = "") const;

  // The table with further columns, as CSV.
  struct Column {
    std::string name;
    std::vector<std::string> cells;  // [rows]
  };
  std::string csv(const std::vector<Column>& more = {}) const;

 private:
  std::size_t index(std::string_view column) const;

  std::string file_;
  std::vector<std::string> columns_;
  std::vector<std::string> cells_;  // [rows * columns]
  std::vector<std::size_t> line_;   // [rows] in the file, from 1
};

}  // namespace moesim::calibration
