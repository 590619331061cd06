#include "sim/step/waiting.h"

#include <algorithm>
#include <tuple>

namespace moesim::step {

std::vector<double> late_senders(const Meeting& meeting, const results::Timeline& timeline) {
  const auto at = [&](engine::EventId event) { return timeline.event[event.index()].value(); };
  const std::size_t ranks = meeting.start.size();
  std::vector<double> late(ranks);
  for (std::size_t receiver = 0; receiver < ranks; ++receiver) {
    const double start = at(meeting.start[receiver]);
    double last = start;
    for (std::size_t sender = 0; sender < ranks; ++sender) {
      const auto [from, to] = meeting.reversed ? std::pair(receiver, sender) : std::pair(sender, receiver);
      const bool sends = meeting.traffic == nullptr ||
                         meeting.traffic->at(static_cast<std::int32_t>(from), static_cast<std::int32_t>(to)) > 0;
      if (sends) last = std::max(last, at(meeting.start[sender]));
    }
    late[receiver] = std::max(0.0, std::min(last, at(meeting.done[receiver])) - start);
  }
  return late;
}

double idle_time(std::span<const Stretch> waits, std::vector<Stretch> computing) {
  const auto order = [](const Stretch& a, const Stretch& b) {
    return std::tie(a.rank, a.begin) < std::tie(b.rank, b.begin);
  };
  std::sort(computing.begin(), computing.end(), order);
  double idle = 0;
  for (const Stretch& wait : waits) {
    idle += wait.end - wait.begin;
    auto busy = std::lower_bound(computing.begin(), computing.end(), wait, order);
    if (busy != computing.begin() && std::prev(busy)->rank == wait.rank) --busy;  // may reach into the wait
    for (; busy != computing.end() && busy->rank == wait.rank && busy->begin < wait.end; ++busy)
      idle -= std::max(0.0, std::min(busy->end, wait.end) - std::max(busy->begin, wait.begin));
  }
  return idle;
}

}  // namespace moesim::step
