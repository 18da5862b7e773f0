#include "bench/worker.hpp"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <new>
#include <optional>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "base/fail.hpp"
#include "base/secret.hpp"
#include "bench/abstract_socket.hpp"
#include "bench/gpu_rival.hpp"
#include "bench/link.hpp"
#include "bench/measure.hpp"
#include "bench/rank_threads.hpp"
#include "bench/rival.hpp"
#include "bench/tuner.hpp"

namespace lockstep::bench {
namespace {

using nlohmann::json;

/// The parent answers at once; this is for machines that are busy.
constexpr auto kParentPatience = std::chrono::seconds(60);

json receive(Link& link) {
  return link.receive(Deadline::in(kParentPatience));
}

/// Rank 0 opens a meeting point for each communicator; the parent passes their names on. Those of
/// sealed ones let in nobody without the key.
std::vector<UniqueId> meet(Link& link, int rank, const std::vector<Variant>& communicators,
                           std::span<const std::byte> psk) {
  std::vector<UniqueId> ids;
  if (rank == 0) {
    std::vector<std::string> texts;
    for (const Variant variant : communicators) {
      const auto key = isSealed(variant.mode) ? psk : std::span<const std::byte>();
      texts.push_back(ids.emplace_back(UniqueId::create({}, key)).text());
    }
    link.send({{"meeting", texts}});
  } else {
    const json message = receive(link);
    for (const auto& text : message.at("meeting"))
      ids.push_back(UniqueId::parse(text.get<std::string>()));
  }
  return ids;
}

class Rank {
 public:
  /// `rival`: whose launcher started this rank, or null. `threads`: what ranks that are threads of
  /// this process share, or null.
  Rank(int rank, Link& link, const Rival* rival, RankThreads* threads)
      : rank_(rank), link_(link), rival_(rival), threads_(threads) {}

  /// The result on rank 0, null on the others.
  json run() {
    auto psk = link_.receiveKey(Deadline::in(kParentPatience));
    const WipeAtEnd wiper(psk);
    receive(link_).at("config").get_to(config_);
    if (!config_.tune.empty()) return tune(psk);
    createSubjects(psk);
    wipe(psk.data(), psk.size());  // it has done its work
    Agreement agreement(*first_);
    Measurement measurement(config_, rank_, agreement, subjects_, listener());
    RunResult result = config_.planOnly ? measurement.plan() : measurement.run();
    if (config_.planOnly && !config_.gpu) {
      SpeedGauge gauge(config_, rank_, agreement);
      predictAll(config_, gauge, result);
    }
    agreement.barrier();  // no rank leaves while another still measures
    if (gpuRival_ != nullptr) gpuRival_->leave();
    subjects_.clear();
    if (own_) own_->finish();
    return rank_ == 0 ? json(result) : json();
  }

 private:
  Communicator join(const UniqueId& id, Variant variant, const std::vector<std::byte>& psk) const {
    Options options = communicatorOptions(config_, variant, psk);
    const WipeAtEnd wiper(options.psk);
    return Communicator::create(id, rank_, config_.ranks, options);
  }

  json tune(const std::vector<std::byte>& psk) {
    std::vector<Variant> variants;
    for (const Mode mode : config_.modes) variants.push_back({mode, config_.reproducible.front()});
    const std::vector<UniqueId> ids = meet(link_, rank_, variants, psk);
    std::vector<Communicator> communicators;
    for (std::size_t i = 0; i < ids.size(); ++i)
      communicators.push_back(join(ids[i], variants[i], psk));
    RunResult result;
    result.tuned = Tuner(config_, rank_, communicators, listener()).run();
    communicators.front().barrier();  // no rank leaves while another still measures
    return rank_ == 0 ? json(result) : json();
  }

  void createSubjects(const std::vector<std::byte>& psk) {
    std::vector<Communicator> communicators = joinAll(psk);
    if (config_.gpu)
      createOnGpu(std::move(communicators));
    else
      createOnHost(std::move(communicators));
  }

  std::vector<Communicator> joinAll(const std::vector<std::byte>& psk) {
    const std::vector<Variant> variants = variantsOf(config_);
    std::vector<UniqueId> ids;
    if (threads_ == nullptr) ids = meet(link_, rank_, variants, psk);
    std::vector<Communicator> communicators;
    for (std::size_t i = 0; i < variants.size(); ++i) {
      if (threads_ == nullptr) {
        communicators.push_back(join(ids[i], variants[i], psk));
        continue;
      }
      Options options = communicatorOptions(config_, variants[i], psk);
      const WipeAtEnd wiper(options.psk);
      communicators.push_back(threads_->join(i, rank_, options));
    }
    return communicators;
  }

  void createOnHost(std::vector<Communicator> communicators) {
    const std::size_t bytes = largestMessage(config_);
    std::shared_ptr<OrdinaryBuffers> ordinary;
    if (!config_.registered) ordinary = std::make_shared<OrdinaryBuffers>(bytes);
    for (Communicator& communicator : communicators)
      subjects_.push_back(
          std::make_unique<LockstepSubject>(std::move(communicator), ordinary, bytes));
    first_ = &static_cast<LockstepSubject&>(*subjects_.front()).communicator();
    if (rival_ == nullptr && !config_.rivals.empty())
      rival_ = &own_.emplace(config_.rivals.front(), *first_,
                             static_cast<int>(config_.timeoutSeconds * 1000));
    if (rival_ != nullptr) subjects_.push_back(std::make_unique<RivalSubject>(*rival_, bytes));
  }

  void createOnGpu(std::vector<Communicator> communicators) {
    const std::size_t bytes = largestMessage(config_);
    const auto buffers = std::make_shared<GpuBuffers>(
        gpuOf(rank_, config_), bytes, !config_.registered || !config_.rivals.empty());
    for (std::size_t i = 0; i < communicators.size(); ++i) {
      if (rank_ == 0)
        listener().progress(0, 0, fmt::format("kernels of {}", name(variantsOf(config_)[i].mode)));
      subjects_.push_back(
          std::make_unique<DeviceSubject>(std::move(communicators[i]), config_, buffers, bytes,
                                          config_.together ? threads_->sideBySide(i) : nullptr));
    }
    auto& p2p = static_cast<DeviceSubject&>(*subjects_.front());
    first_ = &p2p.control();
    if (config_.rivals.empty()) return;
    auto rival = std::make_unique<GpuRivalSubject>(config_, p2p, buffers, bytes);
    gpuRival_ = rival.get();
    subjects_.push_back(std::move(rival));
  }

  Listener listener() {
    return {[this](std::size_t done, std::size_t total, const std::string& text) {
              link_.send({{"progress", {{"done", done}, {"total", total}, {"text", text}}}});
            },
            [this](const std::string& text) {
              link_.send({{"fault", text}});
            },
            [this](const RunResult& part) {
              link_.send({{"part", part}});
            }};
  }

  int rank_;
  Link& link_;
  const Rival* rival_;
  RankThreads* threads_;
  std::optional<Rival> own_;             ///< one without a launcher
  GpuRivalSubject* gpuRival_ = nullptr;  ///< one of the subjects
  RunConfig config_;
  std::vector<std::unique_ptr<Subject>> subjects_;
  Communicator* first_ = nullptr;  ///< of the first subject: the ranks agree through it
};

void sendError(Link& link, ErrorCode code, const char* message) {
  try {
    link.send({{"error", {{"code", name(code)}, {"message", message}}}});
  } catch (const Error&) {  // the parent is gone: nobody is left to tell
  }
}

template <class Body>
int guarded(Link& link, Body body) {
  try {
    body();
    return 0;
  } catch (const Error& error) {
    sendError(link, error.code(), error.what());
  } catch (const std::bad_alloc&) {
    sendError(link, ErrorCode::system, "out of memory; lower --maxbytes or --ranks");
  } catch (const std::exception& error) {
    sendError(link, ErrorCode::internal, error.what());
  }
  return 1;
}

/// A rank never outlives what started it.
void dieWithParent() {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
}

}  // namespace

namespace {

int playRank(int rank, Fd fd, RankThreads* threads) {
  fcntl(fd.get(), F_SETFD, FD_CLOEXEC);
  Link link(std::move(fd));
  return guarded(link, [&] {
    link.send({{"hello", rank}});
    json result = Rank(rank, link, nullptr, threads).run();
    link.send({{"done", std::move(result)}});
  });
}

}  // namespace

int runRank(int rank, Fd fd) {
  return playRank(rank, std::move(fd), nullptr);
}

int runRankThreads(std::vector<Fd> links) {
  // Streams beyond the GPU's queues wait for each other; kernels of ranks must not.
  ::setenv("CUDA_DEVICE_MAX_CONNECTIONS", "32", 0);
  RankThreads shared(static_cast<int>(links.size()));
  std::vector<int> statuses(links.size());
  std::vector<std::jthread> threads;
  for (std::size_t r = 0; r < links.size(); ++r)
    threads.emplace_back(
        [&, r] { statuses[r] = playRank(static_cast<int>(r), std::move(links[r]), &shared); });
  threads.clear();
  return *std::max_element(statuses.begin(), statuses.end());
}

int runMpiRank(const std::string& socket) {
  dieWithParent();
  Link link(connectAbstract(socket));
  return guarded(link, [&] {
    Rival rival("mpi");
    const int rank = rival.module().rank();
    link.send({{"hello", rank}});
    json result = Rank(rank, link, &rival, nullptr).run();
    rival.finish();
    link.send({{"done", std::move(result)}});
  });
}

}  // namespace lockstep::bench
