#include "sim/engine/fluid_network.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace moesim::engine {
namespace {

// Fewer classes are not worth being looked at again.
constexpr std::uint32_t kFewClasses = 8;
constexpr double kFirstPatience = 2, kMorePatience = 1.5;
constexpr double kLookWork = 0.5;  // what a look costs for each hop, in units of MaxMin::work()
constexpr double kCertificateTolerance = 1e-9;

}  // namespace

FluidNetwork::FluidNetwork(const Routes& routes, std::vector<double> capacity, std::vector<double> least,
                           std::vector<double> most, Options options)
    : routes_(routes),
      options_(options),
      capacity_(std::move(capacity)),
      decomposer_(std::move(least), std::move(most)) {
  const std::size_t classes = routes.classes(), links = capacity_.size();
  expected_.assign(classes, 0);
  component_.assign(classes, kNone);
  local_.assign(classes, 0);
  adopted_at_.assign(classes, kNone);
  room_.assign(classes, 0);
  listed_.assign(classes, 0);
  link_family_.resize(links);
  link_component_.assign(links, kNone);
  link_local_.assign(links, 0);
  link_rank_.assign(links, 0);
  class_recorder_.assign(classes, kNone);
  class_candidate_.assign(classes, kNone);
  arrived_.assign(classes, 0);
  link_candidate_.assign(links, kNone);
}

void FluidNetwork::expect(std::uint32_t klass) {
  ++expected_[klass];
  const std::uint32_t c = component_[klass];
  if (c == kNone) {
    if (!listed_[klass]) newcomers_.push_back(klass);
    listed_[klass] = 1;
    return;
  }
  Component& component = *components_[c];
  break_recording(component);
  ++component.expected;
  const std::uint32_t local = local_[klass];
  if (component.fluid.flows(local) + expected_[klass] > component.room[local] && !component.outdated) {
    component.outdated = true;
    outdated_.push_back(c);
  }
}

void FluidNetwork::start(std::uint32_t klass, double amount, std::uint32_t exchange, std::uint32_t index) {
  arrivals_.push_back({klass, amount, exchange, index});
}

void FluidNetwork::set_capacity(std::uint32_t link, double capacity) { capacity_changes_.emplace_back(link, capacity); }

void FluidNetwork::touch(std::uint32_t component) {
  if (components_[component]->dirty) return;
  components_[component]->dirty = true;
  dirty_.push_back(component);
}

// Moves the component's clock to the present; what is due there ends.
void FluidNetwork::synchronise(Component& component, double now) {
  if (component.present == now) return;
  component.present = now;
  component.fluid.advance(now - component.origin);
  const std::size_t first_ended = ended_.size();
  component.fluid.complete_due(flows_, ended_);
  record(component, first_ended);
}

// Time must not run backwards by rounding.
void FluidNetwork::set_next(std::uint32_t c, double by_its_clock) {
  Component& component = *components_[c];
  component.next = std::max(component.present, component.origin + by_its_clock);
  heap_update(c);
}

void FluidNetwork::flush(double now, std::vector<Completed>& completed) {
  if (!replaying_.empty() && !in_the_past_) stop_disturbed_replays(now);
  for (const auto& [link, capacity] : capacity_changes_) {
    if (capacity_[link] == capacity) continue;
    capacity_[link] = capacity;
    const std::uint32_t c = link_component_[link];
    if (c == kNone) continue;
    synchronise(*components_[c], now);
    break_recording(*components_[c]);
    components_[c]->fluid.set_capacity(link_local_[link], capacity);
    touch(c);
  }
  capacity_changes_.clear();
  if (!newcomers_.empty() && !arrivals_.empty() && !in_the_past_) remember_or_replay(now);
  if (!newcomers_.empty() || !outdated_.empty()) rebuild(now);
  for (const Arrival& arrival : arrivals_) {
    const std::uint32_t c = component_[arrival.klass];
    Component& component = *components_[c];
    synchronise(component, now);
    component.fluid.add(flows_, local_[arrival.klass], arrival.amount, arrival.exchange, arrival.index);
    --component.expected;
    --expected_[arrival.klass];
    touch(c);
  }
  arrivals_.clear();
  std::size_t next_dirty = 0;
  while (next_dirty < dirty_.size()) {  // what is built anew is dirty, too
    const std::uint32_t c = dirty_[next_dirty++];
    Component& component = *components_[c];
    if (!component.alive || !component.dirty) continue;
    component.dirty = false;
    if (component.expected == 0 && component.fluid.classes_with_flows() == 0) {
      retire(c);
    } else if (!worth_a_look(component) || !look_again(c, now)) {
      component.fluid.schedule(options_.tolerance);
      set_next(c, component.fluid.next());
    }
  }
  dirty_.clear();
  if (options_.certify && !in_the_past_) check_certificate();
  report(now, completed);
}

void FluidNetwork::complete(double now, std::vector<Completed>& completed) {
  while (next() <= now) {
    const std::uint32_t c = heap_.front();
    Component& component = *components_[c];
    if (component.replay != nullptr) {
      replay_ends(c, now, completed);
      continue;
    }
    const std::size_t first_ended = ended_.size();
    component.fluid.complete_scheduled(flows_, ended_);
    component.present = now;
    record(component, first_ended);
    component.next = kNever;
    heap_update(c);
    if (component.expected == 0 && component.fluid.classes_with_flows() == 0) {
      retire(c);
    } else {
      touch(c);
    }
  }
  report(now, completed);
}

void FluidNetwork::report(double now, std::vector<Completed>& completed) {
  for (const auto& [flow, at] : ended_) {
    completed.push_back({flows_.exchange(flow), flows_.index(flow), options_.tolerance > 0 ? at : now});
    flows_.destroy(flow);
  }
  ended_.clear();
}

void FluidNetwork::outdate_family(FamilyRef ref) {
  if (ref.family == kNone || families_[ref.family].generation != ref.generation) return;
  for (const std::uint32_t c : families_[ref.family].components) {
    Component& component = *components_[c];
    if (!component.alive || component.outdated || component.family != ref.family) continue;
    component.outdated = true;
    outdated_.push_back(c);
  }
}

void FluidNetwork::rebuild(double now) {
  for (const std::uint32_t klass : newcomers_)
    for (std::uint32_t h = routes_.begin[klass]; h < routes_.begin[klass + 1]; ++h)
      outdate_family(link_family_[routes_.link[h]]);
  std::size_t next_outdated = 0;
  while (next_outdated < outdated_.size()) {  // a family may add others
    const std::uint32_t family = components_[outdated_[next_outdated++]]->family;
    outdate_family({family, families_[family].generation});
  }
  classes_.assign(newcomers_.begin(), newcomers_.end());
  for (const std::uint32_t klass : newcomers_) listed_[klass] = 0;
  newcomers_.clear();
  for (const std::uint32_t c : outdated_) {
    break_recording(*components_[c]);
    take_apart(c, now);
  }
  outdated_.clear();
  std::sort(classes_.begin(), classes_.end());
  for (const std::uint32_t klass : classes_) {
    const std::uint32_t at = adopted_at_[klass];
    room_[klass] = 2 * ((at == kNone ? 0 : adopted_[at].flows) + expected_[klass]) + 2;
  }
  decomposer_.run(routes_, classes_, room_);
  std::vector<std::uint32_t> families(decomposer_.families());
  for (std::uint32_t& family : families) family = new_family();
  for (std::size_t i = 0; i < classes_.size(); ++i) {
    const std::uint32_t family = families[decomposer_.family()[i]];
    for (std::uint32_t h = routes_.begin[classes_[i]]; h < routes_.begin[classes_[i] + 1]; ++h)
      link_family_[routes_.link[h]] = {family, families_[family].generation};
  }
  rank_by_load();
  put_together(routes_, classes_, {now, now, 0, kNone}, families);
  for (const std::uint32_t klass : classes_) class_recorder_[klass] = kNone;
}

// A link is likely to be full the earlier, the longer it takes to carry what starts now.
void FluidNetwork::rank_by_load() {
  for (const std::uint32_t klass : classes_)
    for (std::uint32_t h = routes_.begin[klass]; h < routes_.begin[klass + 1]; ++h) link_rank_[routes_.link[h]] = 0;
  for (const Arrival& arrival : arrivals_) {
    for (std::uint32_t h = routes_.begin[arrival.klass]; h < routes_.begin[arrival.klass + 1]; ++h)
      link_rank_[routes_.link[h]] -= arrival.amount * routes_.weight[h] / capacity_[routes_.link[h]];
  }
}

void FluidNetwork::take_apart(std::uint32_t c, double now) {
  Component& component = *components_[c];
  synchronise(component, now);
  for (std::uint32_t i = 0; i < component.classes.size(); ++i) {
    const std::uint32_t klass = component.classes[i];
    const std::uint32_t flows = component.fluid.flows(i);
    component_[klass] = kNone;
    if (flows > 0) {
      adopted_at_[klass] = static_cast<std::uint32_t>(adopted_.size());
      adopted_.push_back(
          {component.fluid.heap(i), flows, component.fluid.progress(i), component.origin + component.fluid.since(i)});
    }
    if (flows > 0 || expected_[klass] > 0) classes_.push_back(klass);
  }
  retire(c);
}

void FluidNetwork::put_together(const Routes& routes, std::span<const std::uint32_t> members, const Origin& from,
                                std::span<const std::uint32_t> families) {
  const auto labels = decomposer_.component();
  const std::uint32_t count = decomposer_.components();
  component_begin_.assign(count + 1, 0);
  for (const std::uint32_t k : labels) ++component_begin_[k + 1];
  for (std::uint32_t k = 0; k < count; ++k) component_begin_[k + 1] += component_begin_[k];
  by_component_.resize(classes_.size());
  member_of_.resize(classes_.size());
  family_of_.resize(count);
  for (std::uint32_t i = 0; i < classes_.size(); ++i) {
    const std::uint32_t at = component_begin_[labels[i]]++;
    by_component_[at] = classes_[i];
    member_of_[at] = members[i];
    family_of_[labels[i]] = families[decomposer_.family()[i]];
  }
  for (std::uint32_t k = 0, begin = 0; k < count; ++k) {
    const std::uint32_t c = new_component(), family = family_of_[k];
    components_[c]->family = family;
    families_[family].components.push_back(c);
    ++families_[family].alive;
    const std::uint32_t size = component_begin_[k] - begin;
    Origin origin = from;
    if (origin.recording == kNone) origin.recording = class_recorder_[by_component_[begin]];
    build(c, routes, std::span(member_of_).subspan(begin, size), std::span(by_component_).subspan(begin, size), origin);
    begin = component_begin_[k];
  }
  adopted_.clear();
}

void FluidNetwork::build(std::uint32_t c, const Routes& routes, std::span<const std::uint32_t> members,
                         std::span<const std::uint32_t> classes, const Origin& from) {
  Component& component = *components_[c];
  component.classes.assign(classes.begin(), classes.end());
  component.room.clear();
  component.links.clear();
  component.expected = 0;
  component.origin = from.origin;
  component.present = from.now;
  component.recording = from.recording;
  if (component.recording != kNone) ++recorders_[component.recording].parts;
  MaxMinProblem& p = problem_;
  p.capacity.clear();
  p.rank.clear();
  p.route_begin.assign(1, 0);
  p.route_link.clear();
  p.route_weight.clear();
  p.rate_cap.clear();
  component.kept.begin.assign(1, 0);
  component.kept.link.clear();
  for (std::size_t i = 0; i < classes.size(); ++i) {
    const std::uint32_t klass = classes[i];
    for (std::uint32_t h = routes.begin[members[i]]; h < routes.begin[members[i] + 1]; ++h) {
      const std::uint32_t link = routes.link[h];
      if (decomposer_.dropped(link)) continue;
      if (link_component_[link] != c) {
        link_component_[link] = c;
        link_local_[link] = static_cast<std::uint32_t>(component.links.size());
        component.links.push_back(link);
        p.capacity.push_back(capacity_[link]);
        p.rank.push_back(link_rank_[link]);
      }
      component.kept.link.push_back(link);
      p.route_link.push_back(link_local_[link]);
      p.route_weight.push_back(routes.weight[h]);
    }
    p.route_begin.push_back(static_cast<std::uint32_t>(p.route_link.size()));
    p.rate_cap.push_back(routes.rate_cap[members[i]]);
    component.room.push_back(room_[klass]);
    component.expected += expected_[klass];
  }
  component.kept.begin = p.route_begin;
  component.kept.weight = p.route_weight;
  component.kept.rate_cap = p.rate_cap;
  p.room = component.room;
  component.fluid.build(p, from.clock);
  for (std::uint32_t i = 0; i < classes.size(); ++i) {
    component_[classes[i]] = c;
    local_[classes[i]] = i;
    const std::uint32_t at = std::exchange(adopted_at_[classes[i]], kNone);
    if (at == kNone) continue;
    const Adopted& adopted = adopted_[at];
    component.fluid.adopt(flows_, i, adopted.heap, adopted.flows, adopted.progress, adopted.since - component.origin);
  }
  set_look(component, kFirstPatience);
  touch(c);
}

void FluidNetwork::set_look(Component& component, double patience) {
  component.patience = patience;
  const double work = patience * kLookWork * static_cast<double>(component.kept.link.size());
  component.look_at = component.fluid.work() + static_cast<std::uint64_t>(work);
}

bool FluidNetwork::worth_a_look(const Component& component) {
  const std::uint32_t size = component.fluid.classes_with_flows();
  if (component.expected != 0 || size < kFewClasses) return false;
  return component.fluid.work() >= component.look_at || std::size_t{3} * size <= component.classes.size();
}

// Builds the component anew if it has fallen apart or shrunk to half. False: it stays as it is.
bool FluidNetwork::look_again(std::uint32_t c, double now) {
  Component& component = *components_[c];
  members_.clear();
  for (std::uint32_t i = 0; i < component.classes.size(); ++i) {
    if (component.fluid.flows(i) == 0) continue;
    members_.push_back(i);
    room_[component.classes[i]] = component.room[i];
  }
  const auto size = static_cast<std::uint32_t>(members_.size());
  decomposer_.run_components(component.kept, members_, component.room);
  if (decomposer_.components() == 1 && std::size_t{3} * size > component.classes.size()) {
    set_look(component, kMorePatience * component.patience);
    return false;
  }
  const std::vector<std::uint32_t> families(decomposer_.families(), component.family);
  ++families_[component.family].alive;  // keeps it
  classes_.clear();
  const double patience = component.patience;
  for (std::uint32_t l = 0; l < component.links.size(); ++l)  // the order of freezing hardly changes
    link_rank_[component.links[l]] = component.fluid.level(l);
  std::swap(apart_, component.kept);
  const Origin from{now, component.origin, component.fluid.clock(), component.recording};
  if (from.recording != kNone) ++recorders_[from.recording].parts;  // keeps it
  take_apart(c, now);
  put_together(apart_, members_, from, families);
  if (from.recording != kNone) part_ended(from.recording);
  if (decomposer_.components() == 1) set_look(*components_[component_[classes_[0]]], kMorePatience * patience);
  --families_[families[0]].alive;
  return true;
}

std::uint32_t FluidNetwork::new_family() {
  if (free_families_.empty()) {
    families_.emplace_back();
    return static_cast<std::uint32_t>(families_.size() - 1);
  }
  const std::uint32_t family = free_families_.back();
  free_families_.pop_back();
  return family;
}

std::uint32_t FluidNetwork::new_component() {
  std::uint32_t c = 0;
  if (free_components_.empty()) {
    c = static_cast<std::uint32_t>(components_.size());
    components_.push_back(std::make_unique<Component>());
  } else {
    c = free_components_.back();
    free_components_.pop_back();
  }
  components_[c]->alive = true;
  return c;
}

void FluidNetwork::retire(std::uint32_t c) {
  Component& component = *components_[c];
  for (const std::uint32_t link : component.links)
    if (link_component_[link] == c) link_component_[link] = kNone;
  for (const std::uint32_t klass : component.classes)
    if (component_[klass] == c) component_[klass] = kNone;
  if (component.recording != kNone) part_ended(component.recording);
  component.recording = kNone;
  component.replay = nullptr;
  component.alive = component.dirty = component.outdated = false;
  component.next = kNever;
  heap_update(c);
  free_components_.push_back(c);
  Family& family = families_[component.family];
  if (--family.alive == 0) {
    ++family.generation;
    family.components.clear();
    free_families_.push_back(component.family);
  }
}

void FluidNetwork::check_certificate() const {
  MaxMinProblem problem{capacity_, routes_.begin, routes_.link, routes_.weight, routes_.rate_cap, {}, {}};
  std::vector<std::uint32_t> flows(routes_.classes());
  std::vector<double> rate(routes_.classes());
  for (std::size_t klass = 0; klass < flows.size(); ++klass) {
    if (component_[klass] == kNone) continue;
    const FluidComponent& fluid = components_[component_[klass]]->fluid;
    flows[klass] = fluid.flows(local_[klass]);
    if (flows[klass] > 0) rate[klass] = fluid.rate(local_[klass]);
  }
  const std::string violation = certificate(problem, flows, rate, kCertificateTolerance);
  MOESIM_CHECK(violation.empty(), violation);
}

bool FluidNetwork::heap_before(std::uint32_t a, std::uint32_t b) const {
  const double x = components_[a]->next, y = components_[b]->next;
  return x < y || (x == y && a < b);
}

// Puts the component where its `next` belongs; out of the heap if that is never.
void FluidNetwork::heap_update(std::uint32_t c) {
  std::uint32_t place = components_[c]->heap_place;
  if (components_[c]->next == kNever) {
    if (place == kNone) return;
    components_[c]->heap_place = kNone;
    const std::uint32_t last = heap_.back();
    heap_.pop_back();
    if (last == c) return;
    heap_[place] = last;
    components_[last]->heap_place = place;
    c = last;
  } else if (place == kNone) {
    place = static_cast<std::uint32_t>(heap_.size());
    heap_.push_back(c);
  }
  const auto put = [&](std::uint32_t component, std::uint32_t at) {
    heap_[at] = component;
    components_[component]->heap_place = at;
  };
  for (; place > 0 && heap_before(c, heap_[(place - 1) / 2]); place = (place - 1) / 2)
    put(heap_[(place - 1) / 2], place);
  for (std::uint32_t child = 2 * place + 1; child < heap_.size(); child = 2 * place + 1) {
    if (child + 1 < heap_.size() && heap_before(heap_[child + 1], heap_[child])) ++child;
    if (!heap_before(heap_[child], c)) break;
    put(heap_[child], place);
    place = child;
  }
  put(c, place);
}

}  // namespace moesim::engine
