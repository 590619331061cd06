// GPU to GPU: copy engine, SM kernel over a number of thread blocks, ping-pong of a flag, all pairs, all at once.
#include <cstdint>
#include <memory>

#include "kernels/harness/measure.cuh"
#include "kernels/harness/sweep.h"

namespace moesim::kernels {
namespace {

__global__ void push(const uint4* from, uint4* to, std::size_t count) {
  for (std::size_t i = blockIdx.x * std::size_t{blockDim.x} + threadIdx.x; i < count;
       i += std::size_t{gridDim.x} * blockDim.x)
    to[i] = from[i];
}

// `own` counts up when the other side has written it; then the other's is written.
__global__ void ping_pong(volatile int* own, volatile int* other, int rounds, bool first) {
  for (int round = 1; round <= rounds; ++round) {
    if (first) *other = round;
    while (*own != round) {
    }
    if (!first) *other = round;
  }
}

constexpr int kRounds = 1000;

// Memory and a stream on one GPU.
struct Peer {
  explicit Peer(int gpu, std::size_t bytes) : device(gpu) {
    MOESIM_CUDA(cudaSetDevice(gpu));
    stream = std::make_unique<Stream>();
    data = Buffer<uint4>(bytes / 16);
    flag = Buffer<int>(1);
    MOESIM_CUDA(cudaMemset(flag.get(), 0, sizeof(int)));
    fill_random(data.get(), data.bytes(), static_cast<unsigned>(gpu), *stream);
    stream->wait();
  }
  // On its own GPU; GPU 0 is current again afterwards.
  void spoil(std::size_t begin, std::size_t count) const {
    MOESIM_CUDA(cudaSetDevice(device));
    poison(data.get() + begin, count * sizeof(uint4));
    MOESIM_CUDA(cudaSetDevice(0));
  }

  int device;
  std::unique_ptr<Stream> stream;
  Buffer<uint4> data;
  Buffer<int> flag;
};

}  // namespace

void measure_peers(Session& session, bool quick) {
  int gpus = 0;
  MOESIM_CUDA(cudaGetDeviceCount(&gpus));
  if (gpus < 2) {
    for (const char* benchmark : {"peer_copy", "peer_latency", "peer_all_to_all"})
      session.skip(benchmark, "there is one GPU");
    return;
  }
  const std::int64_t largest = std::int64_t{1} << (quick ? 26 : 29);
  std::vector<std::unique_ptr<Peer>> peers;
  for (int gpu = 0; gpu < gpus; ++gpu) {
    for (int other = 0; other < gpus; ++other) {
      int can = 0;
      if (gpu == other) continue;
      MOESIM_CUDA(cudaDeviceCanAccessPeer(&can, gpu, other));
      if (can == 0) {
        session.skip("peer_copy", "GPU " + std::to_string(gpu) + " cannot reach GPU " + std::to_string(other));
        return;
      }
      MOESIM_CUDA(cudaSetDevice(gpu));
      const cudaError_t code = cudaDeviceEnablePeerAccess(other, 0);
      if (code != cudaErrorPeerAccessAlreadyEnabled) MOESIM_CUDA(code);
      cudaGetLastError();
    }
    peers.push_back(std::make_unique<Peer>(gpu, static_cast<std::size_t>(largest)));
  }
  MOESIM_CUDA(cudaSetDevice(0));
  for (int to = 1; to < gpus; ++to) {
    const auto target = static_cast<std::size_t>(to);
    for (const std::int64_t bytes : geometric(to == 1 ? 4096 : largest, largest, 8)) {
      const auto size = static_cast<std::size_t>(bytes);
      Point point;
      point.benchmark = "peer_copy";
      point.bytes = static_cast<double>(bytes);
      point.parameters = {{"bytes", point.bytes}, {"to", static_cast<double>(to)}};
      point.poison = [&] { peers[target]->spoil(0, size / 16); };
      point.right = [&] { return same_ends(peers[0]->data.get(), peers[target]->data.get(), size); };
      point.implementation = "cudaMemcpyPeerAsync (copy engine)";
      session.measure(point, [&](cudaStream_t s) {
        MOESIM_CUDA(cudaMemcpyPeerAsync(peers[target]->data.get(), to, peers[0]->data.get(), 0, size, s));
      });
      point.implementation = "moesim SM kernel, 16-byte stores";
      for (const std::int64_t blocks : geometric(1, session.sms(), bytes == largest && to == 1 ? 2 : 1000)) {
        const auto grid = static_cast<unsigned>(bytes == largest && to == 1 ? blocks : session.sms());
        point.parameters["sms"] = grid;
        session.measure(point, [&](cudaStream_t s) {
          push<<<grid, 512, 0, s>>>(peers[0]->data.get(), peers[target]->data.get(), size / 16);
        });
      }
    }
  }
  Point latency;
  latency.benchmark = "peer_latency";
  latency.implementation = "moesim flag ping-pong, 1000 round trips";
  latency.parameters = {{"to", 1}, {"round_trips", kRounds}};
  latency.blocked = false;
  session.measure(latency, [&](cudaStream_t s) {
    MOESIM_CUDA(cudaMemsetAsync(peers[0]->flag.get(), 0, sizeof(int), s));
    MOESIM_CUDA(cudaStreamSynchronize(s));
    MOESIM_CUDA(cudaSetDevice(1));
    MOESIM_CUDA(cudaMemsetAsync(peers[1]->flag.get(), 0, sizeof(int), *peers[1]->stream));
    peers[1]->stream->wait();
    ping_pong<<<1, 1, 0, *peers[1]->stream>>>(peers[1]->flag.get(), peers[0]->flag.get(), kRounds, false);
    MOESIM_CUDA(cudaSetDevice(0));
    ping_pong<<<1, 1, 0, s>>>(peers[0]->flag.get(), peers[1]->flag.get(), kRounds, true);
  });
  // Everybody to everybody at once, each its own part: the time on GPU 0, with all others busy alike.
  const std::size_t part = static_cast<std::size_t>(largest) / static_cast<std::size_t>(gpus) / 16;
  Point all;
  all.benchmark = "peer_all_to_all";
  all.implementation = "moesim SM kernel, 16-byte stores";
  all.bytes = static_cast<double>(part) * 16 * (gpus - 1);
  all.parameters = {{"gpus", static_cast<double>(gpus)}, {"bytes", all.bytes}};
  all.blocked = false;
  const auto each_pair = [&](auto visit) {
    for (std::size_t from = 0; from < peers.size(); ++from)
      for (std::size_t to = 0; to < peers.size(); ++to)
        if (from != to) visit(from, to);
  };
  for (std::size_t gpu = 0; gpu < peers.size(); ++gpu) {
    fill_random(peers[gpu]->data.get(), peers[gpu]->data.bytes(), static_cast<unsigned>(gpu), session.stream());
    MOESIM_CUDA(cudaStreamSynchronize(session.stream()));
  }
  all.poison = [&] { each_pair([&](std::size_t from, std::size_t to) { peers[to]->spoil(from * part, part); }); };
  all.right = [&] {
    for (const auto& peer : peers) peer->stream->wait();
    bool same = true;
    each_pair([&](std::size_t from, std::size_t to) {
      same = same && same_ends(peers[from]->data.get() + from * part, peers[to]->data.get() + from * part, part * 16);
    });
    return same;
  };
  session.measure(all, [&](cudaStream_t s) {
    for (int from = gpus - 1; from >= 0; --from) {
      MOESIM_CUDA(cudaSetDevice(from));
      const cudaStream_t stream =
          from == 0 ? s : static_cast<cudaStream_t>(*peers[static_cast<std::size_t>(from)]->stream);
      for (int to = 0; to < gpus; ++to) {
        if (to == from) continue;
        push<<<32, 512, 0, stream>>>(
            peers[static_cast<std::size_t>(from)]->data.get() + static_cast<std::size_t>(from) * part,
            peers[static_cast<std::size_t>(to)]->data.get() + static_cast<std::size_t>(from) * part, part);
      }
    }
  });
  for (const auto& peer : peers) peer->stream->wait();
}

}  // namespace moesim::kernels
