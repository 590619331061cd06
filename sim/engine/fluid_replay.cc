// The part of FluidNetwork that remembers exchanges and replays them (see exchange_memory.h).
#include <algorithm>

#include "base/error.h"
#include "sim/engine/fluid_network.h"

namespace moesim::engine {
namespace {

constexpr std::size_t kWorthRemembering = 32;  // flows

}  // namespace

// Exchanges of which all flows start at this flush and nobody else uses a link: replayed if they are remembered,
// otherwise recorded. Those whose flows cross a link of another, or of what is running, are neither.
void FluidNetwork::remember_or_replay(double now) {
  for (Candidate& candidate : find_candidates()) {
    if (!candidate.alone) continue;
    if (const ExchangeMemory::Recording* recording = memory_.find(candidate.start); recording != nullptr) {
      start_replay(candidate.exchange, *recording, now);
    } else {
      start_recording(candidate);
    }
  }
}

std::vector<FluidNetwork::Candidate> FluidNetwork::find_candidates() {
  std::vector<Candidate> candidates;
  const auto repeated = [&](const Arrival& arrival) {
    return arrival.exchange < repeated_.size() && repeated_[arrival.exchange] != 0;
  };
  if (std::none_of(arrivals_.begin(), arrivals_.end(), repeated)) return candidates;
  constexpr std::uint32_t kOther = kNone - 1;  // not a candidate
  const auto spoil = [&](std::uint32_t i) {
    if (i < kOther) candidates[i].alone = false;
  };
  for (const Arrival& arrival : arrivals_) {
    const bool known = component_[arrival.klass] != kNone;
    std::uint32_t i = kOther;
    if (repeated(arrival)) {
      i = 0;
      while (i < candidates.size() && candidates[i].exchange != arrival.exchange) ++i;
      if (i == candidates.size()) candidates.push_back({arrival.exchange, true, {}});
      ExchangeMemory::Start& start = candidates[i].start;
      start.klass.push_back(arrival.klass);
      start.index.push_back(arrival.index);
      start.amount.push_back(arrival.amount);
    }
    if (known) {
      spoil(i);
      continue;
    }
    ++arrived_[arrival.klass];
    std::uint32_t& owner = class_candidate_[arrival.klass];
    if (owner != kNone && owner != i) {
      spoil(owner);
      spoil(i);
      owner = kOther;
    } else {
      owner = i;
    }
  }
  for (const std::uint32_t klass : newcomers_) {
    std::uint32_t owner = class_candidate_[klass];
    if (owner == kNone) owner = kOther;
    if (arrived_[klass] != expected_[klass]) spoil(owner);
    for (std::uint32_t h = routes_.begin[klass]; h < routes_.begin[klass + 1]; ++h) {
      const std::uint32_t link = routes_.link[h];
      const FamilyRef ref = link_family_[link];
      if (ref.family != kNone && families_[ref.family].generation == ref.generation) spoil(owner);
      std::uint32_t& user = link_candidate_[link];
      if (user == kNone) {
        user = owner;
        if (owner != kOther) candidates[owner].start.links.push_back(link);
      } else if (user != owner) {
        spoil(user);
        spoil(owner);
      }
    }
  }
  for (const std::uint32_t klass : newcomers_) {
    class_candidate_[klass] = kNone;
    arrived_[klass] = 0;
    for (std::uint32_t h = routes_.begin[klass]; h < routes_.begin[klass + 1]; ++h)
      link_candidate_[routes_.link[h]] = kNone;
  }
  for (Candidate& candidate : candidates) {
    ExchangeMemory::Start& start = candidate.start;
    if (start.klass.size() < kWorthRemembering) candidate.alone = false;
    std::sort(start.links.begin(), start.links.end());
    for (const std::uint32_t link : start.links) start.capacity.push_back(capacity_[link]);
  }
  return candidates;
}

void FluidNetwork::start_recording(Candidate& candidate) {
  std::uint32_t r = 0;
  if (free_recorders_.empty()) {
    r = static_cast<std::uint32_t>(recorders_.size());
    recorders_.emplace_back();
  } else {
    r = free_recorders_.back();
    free_recorders_.pop_back();
  }
  for (const std::uint32_t klass : candidate.start.klass) class_recorder_[klass] = r;
  recorders_[r] = {{std::move(candidate.start), {}}, candidate.exchange, 0, false};
}

void FluidNetwork::start_replay(std::uint32_t exchange, const ExchangeMemory::Recording& recording, double now) {
  const auto of_exchange = [&](const Arrival& arrival) { return arrival.exchange == exchange; };
  arrivals_.erase(std::remove_if(arrivals_.begin(), arrivals_.end(), of_exchange), arrivals_.end());
  for (const std::uint32_t klass : recording.start.klass) {
    expected_[klass] = 0;
    listed_[klass] = 0;
  }
  const auto unlisted = [&](std::uint32_t klass) { return listed_[klass] == 0; };
  newcomers_.erase(std::remove_if(newcomers_.begin(), newcomers_.end(), unlisted), newcomers_.end());

  const std::uint32_t c = new_component(), family = new_family();
  Component& component = *components_[c];
  component.family = family;
  families_[family].components.push_back(c);
  ++families_[family].alive;
  component.classes.clear();
  component.links = recording.start.links;
  component.expected = 0;
  for (const std::uint32_t link : component.links) {
    link_family_[link] = {family, families_[family].generation};
    link_component_[link] = c;
  }
  component.origin = component.present = now;
  component.replay = &recording;
  component.replay_at = 0;
  component.exchange = exchange;
  replaying_.push_back(c);
  ++replays_;
  set_next(c, recording.ends.front().offset);
}

// Completes what ends together at next().
void FluidNetwork::replay_ends(std::uint32_t c, double now, std::vector<Completed>& completed) {
  Component& component = *components_[c];
  const std::vector<ExchangeMemory::End>& ends = component.replay->ends;
  const double offset = ends[component.replay_at].offset;
  for (; component.replay_at < ends.size() && ends[component.replay_at].offset == offset; ++component.replay_at) {
    const ExchangeMemory::End& end = ends[component.replay_at];
    const double at = options_.tolerance > 0 ? component.origin + end.own_offset : now;
    completed.push_back({component.exchange, end.index, at});
  }
  component.present = now;
  if (component.replay_at < ends.size()) return set_next(c, ends[component.replay_at].offset);
  replaying_.erase(std::find(replaying_.begin(), replaying_.end(), c));
  retire(c);
}

void FluidNetwork::break_recording(const Component& component) {
  if (component.recording != kNone) recorders_[component.recording].broken = true;
}

// Notes the ends from ended_[first] on, which are by the component's clock, and translates them to the network's.
void FluidNetwork::record(const Component& component, std::size_t first) {
  for (std::size_t i = first; i < ended_.size(); ++i) {
    FluidComponent::Ended& ended = ended_[i];
    if (component.recording != kNone) {
      recorders_[component.recording].recording.ends.push_back(
          {component.fluid.clock(), ended.at, flows_.index(ended.flow)});
    }
    ended.at += component.origin;
  }
}

// Counts a component of a recording that is no more; the last one completes it.
void FluidNetwork::part_ended(std::uint32_t r) {
  Recorder& recorder = recorders_[r];
  if (--recorder.parts > 0) return;
  std::vector<ExchangeMemory::End>& ends = recorder.recording.ends;
  // Those of several components may be out of order where rounding makes them one moment.
  std::stable_sort(ends.begin(), ends.end(), [](const auto& a, const auto& b) { return a.offset < b.offset; });
  if (!recorder.broken) memory_.add(std::move(recorder.recording));
  recorder.recording = {};
  free_recorders_.push_back(r);
}

void FluidNetwork::stop_disturbed_replays(double now) {
  std::vector<std::uint32_t> disturbed;
  const auto disturb = [&](std::uint32_t c) {
    if (components_[c]->replay != nullptr && std::find(disturbed.begin(), disturbed.end(), c) == disturbed.end())
      disturbed.push_back(c);
  };
  for (const auto& [link, capacity] : capacity_changes_)
    if (capacity_[link] != capacity && link_component_[link] != kNone) disturb(link_component_[link]);
  for (const std::uint32_t klass : newcomers_) {
    for (std::uint32_t h = routes_.begin[klass]; h < routes_.begin[klass + 1]; ++h) {
      const FamilyRef ref = link_family_[routes_.link[h]];
      if (ref.family == kNone || families_[ref.family].generation != ref.generation) continue;
      for (const std::uint32_t c : families_[ref.family].components) disturb(c);
    }
  }
  for (const std::uint32_t c : disturbed) stop_replay(c, now);
}

// Simulates after all, from its start to the present, the exchange that the component replays.
void FluidNetwork::stop_replay(std::uint32_t c, double now) {
  const ExchangeMemory::Recording& recording = *components_[c]->replay;
  const std::uint32_t exchange = components_[c]->exchange;
  const double origin = components_[c]->origin;
  const std::size_t reported = components_[c]->replay_at;
  replaying_.erase(std::find(replaying_.begin(), replaying_.end(), c));
  retire(c);

  // What this flush is about waits until the past has been made up for.
  std::vector<Arrival> arrivals;
  std::vector<std::pair<std::uint32_t, double>> changes;
  std::vector<std::uint32_t> dirty, outdated, newcomers, expected;
  std::swap(arrivals, arrivals_);
  std::swap(changes, capacity_changes_);
  std::swap(dirty, dirty_);
  std::swap(outdated, outdated_);
  std::swap(newcomers, newcomers_);
  for (const std::uint32_t klass : newcomers) {
    expected.push_back(expected_[klass]);
    expected_[klass] = 0;
    listed_[klass] = 0;
  }
  in_the_past_ = true;
  const ExchangeMemory::Start& flows = recording.start;
  for (const std::uint32_t klass : flows.klass) expect(klass);
  for (std::size_t i = 0; i < flows.klass.size(); ++i) start(flows.klass[i], flows.amount[i], exchange, flows.index[i]);
  std::vector<Completed> again;  // reported by the replay
  double at = origin;
  flush(at, again);
  while (again.size() < reported) {
    at = next();
    MOESIM_CHECK(at <= now, "a replayed exchange ended earlier than the recorded one");
    complete(at, again);
    if (at < now || again.size() < reported)
      flush(at, again);  // what ended at the present belongs to the flush at hand
  }
  MOESIM_CHECK(again.size() == reported, "a replayed exchange ended otherwise than the recorded one");
  in_the_past_ = false;

  std::swap(arrivals, arrivals_);
  std::swap(changes, capacity_changes_);
  dirty_.insert(dirty_.end(), dirty.begin(), dirty.end());
  outdated_.insert(outdated_.end(), outdated.begin(), outdated.end());
  for (std::size_t i = 0; i < newcomers.size(); ++i)
    for (std::uint32_t n = 0; n < expected[i]; ++n) expect(newcomers[i]);
}

}  // namespace moesim::engine
