// All of SimGrid's programming interface that moesim uses, in one file (written for 3.32; 4.x renames parts of it).
//
// The network is CM02 without its corrections: every transfer is a fluid flow over a fixed list of links of latency 0,
// rates are max-min fair, and a link that is listed n times is consumed n times. With latency 0 all transfers weigh the
// same; SimGrid weighs those of unequal latency unequally, so latency is the caller's business.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <vector>

namespace moesim::engine {

// One per process, run from its main thread: SimGrid's engine is global and its clock never restarts. Times are best
// kept between 1e-3 and 1e3, where double precision and SimGrid's absolute precision of 1e-12 both matter little.
class SimgridPlatform {
 public:
  struct Transfer {
    std::size_t route = 0;
    std::uint64_t amount = 0;  // > 0
    double rate_cap = std::numeric_limits<double>::infinity();
  };

  SimgridPlatform() = default;
  virtual ~SimgridPlatform() = default;
  SimgridPlatform(const SimgridPlatform&) = delete;
  SimgridPlatform& operator=(const SimgridPlatform&) = delete;

  // Before run. Both return 0, 1, 2, ...
  virtual std::size_t add_link(double capacity) = 0;
  virtual std::size_t add_route(std::span<const std::size_t> links) = 0;

  // Before run, or within a callback during it. Actions begin at the present time.
  virtual void after(double delay, std::function<void()> callback) = 0;
  // Starts all transfers; calls drained(i) at the moment the i-th is complete.
  virtual void transfer(std::vector<Transfer> transfers, std::function<void(std::size_t)> drained) = 0;
  virtual double now() const = 0;

  // Returns when nothing is left to happen.
  virtual void run() = 0;
};

// A platform of at most `routes` routes.
using MakeSimgridPlatform = std::unique_ptr<SimgridPlatform> (*)(std::size_t routes);

// SimGrid comes with two dozen libraries, which take longer to load than a small scenario to run: they are loaded by
// the first call of this. Throws InternalError where they are missing.
MakeSimgridPlatform load_simgrid();

}  // namespace moesim::engine
