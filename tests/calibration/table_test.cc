#include "calibration/table.h"

#include <doctest/doctest.h>

namespace moesim::calibration {
namespace {

Table table(const char* text) { return Table::parse(text, "t.csv"); }

}  // namespace

TEST_CASE("a table is read by column names, with blanks, CRLF and a byte-order mark") {
  const Table t = table("\xEF\xBB\xBFop, bytes ,latency_us\r\nall_gather,512,8.98\r\n\r\nall_gather,1024,9\n");
  CHECK(t.rows() == 2);
  CHECK(t.text(1, "op") == "all_gather");
  CHECK(t.integer(1, "bytes") == 1024);
  CHECK(t.time_us(0, "latency_us") == 8.98);
  CHECK_FALSE(t.has("dtype"));
}

TEST_CASE("further columns come after the table's own") {
  const Table t = table("a,b\n1,2\n3,4\n");
  CHECK(t.csv({{"c", {"x", ""}}}) == "a,b,c\n1,2,x\n3,4,\n");
  CHECK(t.csv() == "a,b\n1,2\n3,4\n");
}

TEST_CASE("what cannot be read says where and what would be right") {
  CHECK_THROWS_WITH(table(""), doctest::Contains("t.csv: is empty"));
  CHECK_THROWS_WITH(table("\n \n"), doctest::Contains("is empty"));
  CHECK_THROWS_WITH(table("a,b\n"), doctest::Contains("no rows"));
  CHECK_THROWS_WITH(table("a,b,a\n1,2,3\n"), doctest::Contains("line 1: the column \"a\" occurs twice"));
  CHECK_THROWS_WITH(table("a,\n1,2\n"), doctest::Contains("without a name"));
  CHECK_THROWS_WITH(table("a,b\n1,2\n3\n"), doctest::Contains("line 3: 1 cells; expected 2"));
  CHECK_THROWS_WITH(table("a\n\"1\"\n"), doctest::Contains("line 2: quoted"));
  const Table t = table("bytes,latency_us\n\n1.5,-3\n2,12 us\n3,nan\n4,inf\n5,\n6,0\n");
  CHECK_THROWS_WITH(t.integer(0, "bytes"), doctest::Contains("line 3: column \"bytes\" is \"1.5\"; expected a whole"));
  CHECK_THROWS_WITH(t.time_us(0, "latency_us"), doctest::Contains("\"-3\"; expected a time in microseconds"));
  CHECK_THROWS_WITH(t.time_us(1, "latency_us"), doctest::Contains("line 4"));
  CHECK_THROWS_WITH(t.time_us(1, "latency_us"), doctest::Contains("without a unit"));
  for (std::size_t row = 2; row < 6; ++row) CHECK_THROWS_AS(t.time_us(row, "latency_us"), base::InputError);
  CHECK_THROWS_WITH(t.number(0, "latency_ms"), doctest::Contains("did you mean \"latency_us\""));
  CHECK_THROWS_WITH(t.one_of(0, "bytes", {"1", "2"}), doctest::Contains("one of 1, 2"));
  CHECK(t.one_of(1, "bytes", {"1", "2"}) == 1);
}

}  // namespace moesim::calibration
