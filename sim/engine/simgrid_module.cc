// A module of its own, loaded by load_simgrid: it uses nothing else of moesim.
#include <cmath>
#include <string>
#include <vector>

#include <simgrid/s4u.hpp>
#include <simgrid/version.h>
#include <xbt/log.h>

#include "sim/engine/simgrid_platform.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MOESIM_SIMGRID_CONTEXTS "thread"  // sanitizers do not follow a switch of stacks within one thread
#else
#define MOESIM_SIMGRID_CONTEXTS "raw"
#endif

namespace moesim::engine {
namespace sg = simgrid::s4u;

namespace {

class Platform final : public SimgridPlatform {
 public:
  explicit Platform(std::size_t routes);
  std::size_t add_link(double capacity) override;
  std::size_t add_route(std::span<const std::size_t> links) override;
  void after(double delay, std::function<void()> callback) override;
  void transfer(std::vector<Transfer> transfers, std::function<void(std::size_t)> drained) override;
  double now() const override { return sg::Engine::get_clock(); }
  void run() override;

 private:
  // Route r joins the r-th ordered pair of different hosts. Which hosts these are means nothing: whoever starts a
  // transfer need not be on them.
  std::pair<sg::Host*, sg::Host*> endpoints(std::size_t route) const {
    const std::size_t others = hosts_.size() - 1;
    const std::size_t from = route / others, to = route % others;
    return {hosts_[from], hosts_[to < from ? to : to + 1]};
  }

  void start(sg::Host* host, const std::function<void()>& body) { sg::Actor::create("a", host, body); }

  std::unique_ptr<sg::Engine> engine_;
  sg::NetZone* zone_ = nullptr;
  std::vector<sg::Host*> hosts_;
  std::vector<sg::Link*> links_;
  std::size_t routes_ = 0;
  std::size_t mailboxes_ = 0;
};

Platform::Platform(std::size_t routes) {
  static_assert(SIMGRID_VERSION >= 33200, "written for SimGrid 3.32");
  xbt_log_control_set("root.thresh:critical");
  std::string name = "moesim";
  std::vector<char*> arguments{name.data(), nullptr};
  int count = 1;
  engine_ = std::make_unique<sg::Engine>(&count, arguments.data());
  constexpr const char* contexts = "contexts/factory:" MOESIM_SIMGRID_CONTEXTS;
  for (const char* setting :
       {"network/model:CM02", "network/TCP-gamma:0", "network/crosstraffic:0", "network/optim:Full",
        "surf/precision:1e-12", contexts, "contexts/stack-size:128", "contexts/guard-size:0", "debug/clean-atexit:off"})
    sg::Engine::set_config(setting);
  zone_ = sg::create_full_zone("zone");
  // The fewest hosts with enough ordered pairs.
  auto hosts = static_cast<std::size_t>(std::sqrt(static_cast<double>(routes))) + 1;
  while (hosts < 2 || hosts * (hosts - 1) < routes) ++hosts;
  for (std::size_t h = 0; h < hosts; ++h) hosts_.push_back(zone_->create_host("h" + std::to_string(h), 1.0));
}

std::size_t Platform::add_link(double capacity) {
  links_.push_back(zone_->create_link("l" + std::to_string(links_.size()), capacity)->set_latency(0)->seal());
  return links_.size() - 1;
}

std::size_t Platform::add_route(std::span<const std::size_t> links) {
  std::vector<sg::LinkInRoute> list;
  for (const std::size_t link : links) list.emplace_back(links_[link]);
  const auto [from, to] = endpoints(routes_);
  zone_->add_route(from->get_netpoint(), to->get_netpoint(), nullptr, nullptr, list, false);
  return routes_++;
}

void Platform::after(double delay, std::function<void()> callback) {
  start(hosts_.front(), [delay, callback = std::move(callback)] {
    if (delay > 0) sg::this_actor::sleep_for(delay);
    callback();
  });
}

void Platform::transfer(std::vector<Transfer> transfers, std::function<void(std::size_t)> drained) {
  const bool any_uncapped =
      std::any_of(transfers.begin(), transfers.end(), [](const Transfer& t) { return !std::isfinite(t.rate_cap); });
  for (std::size_t i = 0; i < transfers.size(); ++i) {
    const Transfer t = transfers[i];
    if (!std::isfinite(t.rate_cap)) continue;
    // Only a rendezvous of two actors on the endpoints takes a rate; sendto_init()->set_rate() aborts.
    auto* const mailbox = sg::Mailbox::by_name("m" + std::to_string(mailboxes_++));
    const auto [from, to] = endpoints(t.route);
    start(from, [mailbox, t, i, drained] {
      static char token = 0;
      mailbox->put_init(&token, t.amount)->set_rate(t.rate_cap)->wait();
      drained(i);
    });
    start(to, [mailbox] { mailbox->get<void>(); });
  }
  if (!any_uncapped) return;
  start(hosts_.front(), [this, transfers = std::move(transfers), drained = std::move(drained)] {
    std::vector<sg::CommPtr> comms;
    std::vector<std::size_t> index;
    for (std::size_t i = 0; i < transfers.size(); ++i) {
      if (std::isfinite(transfers[i].rate_cap)) continue;
      const auto [from, to] = endpoints(transfers[i].route);
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

void Platform::run() {
  zone_->seal();
  engine_->run();
}

}  // namespace
}  // namespace moesim::engine

// What the module is loaded for.
extern "C" moesim::engine::MakeSimgridPlatform moesim_simgrid_platform() {
  return [](std::size_t routes) -> std::unique_ptr<moesim::engine::SimgridPlatform> {
    return std::make_unique<moesim::engine::Platform>(routes);
  };
}
