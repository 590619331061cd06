#include "sim/step/waiting.h"

#include <doctest/doctest.h>

#include "tests/approx.h"

namespace moesim::step {
namespace {

using engine::EventId;

// Events 0 ... n - 1 at these seconds.
results::Timeline at(const std::vector<double>& seconds) {
  results::Timeline timeline;
  for (const double s : seconds) timeline.event.emplace_back(s);
  return timeline;
}

}  // namespace

TEST_CASE("a rank waits until the last of those that it receives from has started") {
  // Three ranks start at 1, 4 and 2 s and are done at 6, 6 and 2.5 s.
  const auto timeline = at({1, 4, 2, 6, 6, 2.5});
  Meeting meeting{
      {0, 1, 2}, {EventId(0U), EventId(1U), EventId(2U)}, {EventId(3U), EventId(4U), EventId(5U)}, nullptr, false};
  CHECK(late_senders(meeting, timeline) == std::vector<double>{3, 0, 0.5});  // not longer than until it is done
  // Rank 0 receives from rank 2 alone, rank 2 from nobody.
  workloads::Traffic traffic;
  traffic.ranks = 3;
  traffic.tokens = {5, 1, 0, 0, 5, 0, 1, 0, 5};
  meeting.traffic = &traffic;
  CHECK(late_senders(meeting, timeline) == std::vector<double>{1, 0, 0});
  meeting.reversed = true;  // rank 0 gets back from rank 1, rank 2 from rank 0
  CHECK(late_senders(meeting, timeline) == std::vector<double>{3, 0, 0});
}

TEST_CASE("a GPU that computes meanwhile does not wait") {
  const std::vector<Stretch> waits{{0, 1, 4}, {1, 0, 2}, {0, 6, 7}};
  CHECK(idle_time(waits, {}) == tests::Approx(6));
  // GPU 0 computes until 2 and from 3 on; GPU 1 only afterwards; GPU 2 does not matter.
  CHECK(idle_time(waits, {{0, 3, 9}, {0, 0, 2}, {1, 2, 5}, {2, 0, 9}}) == tests::Approx(1 + 2 + 0));
}

}  // namespace moesim::step
