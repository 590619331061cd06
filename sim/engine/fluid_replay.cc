// The part of FluidNetwork that remembers exchanges (see exchange_memory.h).
#include <algorithm>

#include "sim/engine/fluid_network.h"

namespace moesim::engine {
namespace {

constexpr std::size_t kWorthRemembering = 32;  // flows

}  // namespace

// Whether what starts at this flush is one exchange as a whole, on links that nobody uses; describes it.
bool FluidNetwork::describe_start(ExchangeMemory::Start& start) const {
  if (arrivals_.size() < kWorthRemembering || arrivals_.front().exchange >= repeated_.size() ||
      !repeated_[arrivals_.front().exchange])
    return false;
  std::size_t expected = 0;
  for (const std::uint32_t klass : newcomers_) expected += expected_[klass];
  if (expected != arrivals_.size()) return false;
  for (const Arrival& arrival : arrivals_) {
    if (arrival.exchange != arrivals_.front().exchange || component_[arrival.klass] != kNone) return false;
    start.klass.push_back(arrival.klass);
    start.index.push_back(arrival.index);
    start.amount.push_back(arrival.amount);
  }
  for (const std::uint32_t klass : newcomers_) {
    for (std::uint32_t h = routes_.begin[klass]; h < routes_.begin[klass + 1]; ++h) {
      const std::uint32_t link = routes_.link[h];
      const FamilyRef ref = link_family_[link];
      if (ref.family != kNone && families_[ref.family].generation == ref.generation) return false;
      start.links.push_back(link);
    }
  }
  std::sort(start.links.begin(), start.links.end());
  start.links.erase(std::unique(start.links.begin(), start.links.end()), start.links.end());
  for (const std::uint32_t link : start.links) start.capacity.push_back(capacity_[link]);
  return true;
}

void FluidNetwork::remember_or_replay(double now) {
  ExchangeMemory::Start start;
  if (in_the_past_ || recording_parts_ > 0 || !replay_.empty() || !replay_known_.empty() || !describe_start(start))
    return;
  const ExchangeMemory::Recording* recording = memory_.find(start);
  if (recording == nullptr) {
    recording_ = {std::move(start), {}};
    recording_start_ = now;
    recording_broken_ = false;
    recording_begins_ = true;
    return;
  }
  replay_ = recording->ends;
  replay_at_ = 0;
  ++replays_;
  replay_start_ = now;
  replay_exchange_ = arrivals_.front().exchange;
  replay_flows_ = std::move(start);
  for (const std::uint32_t link : replay_flows_.links) replayed_link_[link] = 1;
  for (const Arrival& arrival : arrivals_) --expected_[arrival.klass];
  arrivals_.clear();
  for (const std::uint32_t klass : newcomers_) listed_[klass] = 0;
  newcomers_.clear();
}

bool FluidNetwork::disturbs_replay() const {
  for (const auto& [link, capacity] : capacity_changes_)
    if (replayed_link_[link] && capacity_[link] != capacity) return true;
  for (const std::uint32_t klass : newcomers_)
    for (std::uint32_t h = routes_.begin[klass]; h < routes_.begin[klass + 1]; ++h)
      if (replayed_link_[routes_.link[h]]) return true;
  return false;
}

void FluidNetwork::end_replay() {
  for (const std::uint32_t link : replay_flows_.links) replayed_link_[link] = 0;
  replay_.clear();
}

// Simulates after all, from its start to the present, the exchange being replayed. Ends that the replay has reported
// are not reported again; by rounding, few others can be due.
void FluidNetwork::stop_replay(double now, std::vector<Completed>& completed) {
  for (std::size_t i = 0; i < replay_at_; ++i) ;
  std::sort(replay_known_.begin(), replay_known_.end());
  end_replay();
  // What this flush is about waits until the past has been made up for.
  std::vector<Arrival> arrivals;
  std::vector<std::pair<std::uint32_t, double>> changes;
  std::vector<std::uint32_t> newcomers, dirty;
  std::swap(arrivals, arrivals_);
  std::swap(changes, capacity_changes_);
  std::swap(newcomers, newcomers_);
  std::swap(dirty, dirty_);
  for (const std::uint32_t klass : newcomers) listed_[klass] = 0;
  in_the_past_ = true;
  for (std::size_t i = 0; i < replay_flows_.klass.size(); ++i) {
    expect(replay_flows_.klass[i]);
    start(replay_flows_.klass[i], replay_flows_.amount[i], replay_exchange_, replay_flows_.index[i]);
  }
  flush(replay_start_, completed);
  while (next() < now) {
    const double at = next();
    complete(at, completed);
    flush(at, completed);
  }
  in_the_past_ = false;
  std::swap(arrivals, arrivals_);
  std::swap(changes, capacity_changes_);
  dirty_.insert(dirty_.end(), dirty.begin(), dirty.end());
  for (const std::uint32_t klass : newcomers) {
    if (component_[klass] != kNone) continue;
    listed_[klass] = 1;
    newcomers_.push_back(klass);
  }
}

void FluidNetwork::record(std::size_t first_ended, double now) {
  for (std::size_t i = first_ended; i < ended_.size(); ++i)
    recording_.ends.push_back({now - recording_start_, ended_[i].at - recording_start_, flows_.index(ended_[i].flow)});
}

// Counts a component of the recording that is no more; the last one completes it.
void FluidNetwork::part_ended() {
  if (--recording_parts_ > 0 || recording_broken_) return;
  memory_.add(std::move(recording_));
}

}  // namespace moesim::engine
