#include "sim/engine/simgrid_platform.h"

#include <cmath>
#include <string>
#include <vector>

#include <simgrid/s4u.hpp>
#include <simgrid/version.h>
#include <xbt/log.h>

#include "base/error.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MOESIM_SIMGRID_CONTEXTS "thread"  // sanitizers do not follow a switch of stacks within one thread
#else
#define MOESIM_SIMGRID_CONTEXTS "raw"
#endif

namespace moesim::engine {
namespace sg = simgrid::s4u;

struct SimgridPlatform::State {
  std::unique_ptr<sg::Engine> engine;
  sg::NetZone* zone = nullptr;
  std::vector<sg::Host*> hosts;
  std::vector<sg::Link*> links;
  std::size_t routes = 0;
  std::size_t mailboxes = 0;

  // Route r joins the r-th ordered pair of different hosts. Which hosts these are means nothing: whoever starts a
  // transfer need not be on them.
  std::pair<sg::Host*, sg::Host*> endpoints(std::size_t route) const {
    const std::size_t others = hosts.size() - 1;
    const std::size_t from = route / others, to = route % others;
    return {hosts[from], hosts[to < from ? to : to + 1]};
  }

  void start(sg::Host* host, const std::function<void()>& body) { sg::Actor::create("a", host, body); }
};

SimgridPlatform::SimgridPlatform(std::size_t routes) : state_(std::make_unique<State>()) {
  static_assert(SIMGRID_VERSION >= 33200, "written for SimGrid 3.32");
  xbt_log_control_set("root.thresh:critical");
  std::string name = "moesim";
  std::vector<char*> arguments{name.data(), nullptr};
  int count = 1;
  state_->engine = std::make_unique<sg::Engine>(&count, arguments.data());
  constexpr const char* contexts = "contexts/factory:" MOESIM_SIMGRID_CONTEXTS;
  for (const char* setting :
       {"network/model:CM02", "network/TCP-gamma:0", "network/crosstraffic:0", "network/optim:Full",
        "surf/precision:1e-12", contexts, "contexts/stack-size:128", "contexts/guard-size:0", "debug/clean-atexit:off"})
    sg::Engine::set_config(setting);
  state_->zone = sg::create_full_zone("zone");
  // The fewest hosts with enough ordered pairs.
  auto hosts = static_cast<std::size_t>(std::sqrt(static_cast<double>(routes))) + 1;
  while (hosts < 2 || hosts * (hosts - 1) < routes) ++hosts;
  for (std::size_t h = 0; h < hosts; ++h)
    state_->hosts.push_back(state_->zone->create_host("h" + std::to_string(h), 1.0));
}

SimgridPlatform::~SimgridPlatform() = default;

std::size_t SimgridPlatform::add_link(double capacity) {
  auto& links = state_->links;
  links.push_back(state_->zone->create_link("l" + std::to_string(links.size()), capacity)->set_latency(0)->seal());
  return links.size() - 1;
}

std::size_t SimgridPlatform::add_route(std::span<const std::size_t> links) {
  std::vector<sg::LinkInRoute> list;
  for (const std::size_t link : links) list.emplace_back(state_->links[link]);
  const auto [from, to] = state_->endpoints(state_->routes);
  state_->zone->add_route(from->get_netpoint(), to->get_netpoint(), nullptr, nullptr, list, false);
  return state_->routes++;
}

void SimgridPlatform::after(double delay, std::function<void()> callback) {
  state_->start(state_->hosts.front(), [delay, callback = std::move(callback)] {
    if (delay > 0) sg::this_actor::sleep_for(delay);
    callback();
  });
}

void SimgridPlatform::transfer(std::vector<Transfer> transfers, std::function<void(std::size_t)> drained) {
  const bool any_uncapped =
      std::any_of(transfers.begin(), transfers.end(), [](const Transfer& t) { return !std::isfinite(t.rate_cap); });
  for (std::size_t i = 0; i < transfers.size(); ++i) {
    const Transfer t = transfers[i];
    if (!std::isfinite(t.rate_cap)) continue;
    // Only a rendezvous of two actors on the endpoints takes a rate; sendto_init()->set_rate() aborts.
    auto* const mailbox = sg::Mailbox::by_name("m" + std::to_string(state_->mailboxes++));
    const auto [from, to] = state_->endpoints(t.route);
    state_->start(from, [mailbox, t, i, drained] {
      static char token = 0;
      mailbox->put_init(&token, t.amount)->set_rate(t.rate_cap)->wait();
      drained(i);
    });
    state_->start(to, [mailbox] { mailbox->get<void>(); });
  }
  if (!any_uncapped) return;
  state_->start(state_->hosts.front(), [this, transfers = std::move(transfers), drained = std::move(drained)] {
    std::vector<sg::CommPtr> comms;
    std::vector<std::size_t> index;
    for (std::size_t i = 0; i < transfers.size(); ++i) {
      if (std::isfinite(transfers[i].rate_cap)) continue;
      const auto [from, to] = state_->endpoints(transfers[i].route);
      comms.push_back(sg::Comm::sendto_async(from, to, transfers[i].amount));
      index.push_back(i);
    }
    while (!comms.empty()) {
      const auto k = static_cast<std::size_t>(sg::Comm::wait_any(comms));
      const std::size_t i = index[k];
      comms[k] = std::move(comms.back());
      comms.pop_back();
      index[k] = index.back();
      index.pop_back();
      drained(i);
    }
  });
}

double SimgridPlatform::now() const { return sg::Engine::get_clock(); }

void SimgridPlatform::run() {
  state_->zone->seal();
  state_->engine->run();
}

}  // namespace moesim::engine
