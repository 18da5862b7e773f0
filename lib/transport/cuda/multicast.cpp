#include "transport/cuda/multicast.hpp"

#include <algorithm>
#include <exception>
#include <functional>
#include <optional>
#include <utility>

#include "base/cuda/multicast.hpp"
#include "base/fail.hpp"
#include "transport/cuda/together.hpp"
#include "transport/cuda/watched.hpp"

namespace lockstep::cuda {

/// What a rank has of it. The last go first.
struct MulticastParts {
  PrimaryContext context;
  unsigned devices = 0;
  std::shared_ptr<const Allocation> memory;
  Fd file;  ///< of the object, on its way between ranks; or its fabric handle
  FabricHandle fabric{};
  std::shared_ptr<const MulticastObject> object;
  MulticastBinding binding;
  MappedMemory map;
};

namespace {

/// For calls that give back, which come when the deadline may have passed.
constexpr auto kLettingGo = std::chrono::seconds(1);

/// One rank's part in making it.
class Making {
 public:
  Making(Peers& peers, const Segments& segments, Deadline deadline, Clock::duration patience)
      : peers_(peers), deadline_(deadline), patience_(patience) {
    parts_->context = segments.context();
    parts_->memory = segments.memory();
  }
  ~Making() { letGo(); }
  Making(const Making&) = delete;
  Making& operator=(const Making&) = delete;

  std::optional<Refusal> run() {
    if (auto refusal = create()) return refusal;
    if (auto refusal = passOn()) return refusal;
    if (auto refusal = join()) return refusal;
    // From here every GPU is a member on every rank: a bind before that would wait for the others.
    if (auto refusal = take("binding its memory", [](MulticastParts& parts) {
          parts.binding = MulticastBinding::bind(parts.object, 0, parts.memory);
        }))
      return refusal;
    return take("mapping the multicast object", [](MulticastParts& parts) {
      parts.map = MappedMemory::map(parts.context, parts.object->object());
    });
  }

  std::shared_ptr<const MulticastParts> finish() { return std::move(parts_); }

 private:
  using Step = void (*)(MulticastParts&);

  std::optional<Refusal> create() {
    if (peers_.rank() != 0) return together(peers_, deadline_, [] {});
    parts_->devices = static_cast<unsigned>(peers_.worldSize());
    return take("creating a multicast object", [](MulticastParts& parts) {
      const bool fabric = isFabric(parts);
      parts.object = MulticastObject::create(
          parts.context, parts.devices, parts.memory->bytes(),
          fabric ? ShareableHandle::fabric : ShareableHandle::posixDescriptor);
      if (fabric)
        parts.fabric = parts.object->object()->exportFabric();
      else
        parts.file = parts.object->object()->exportFd();
    });
  }

  /// The object goes as the segments went.
  static bool isFabric(const MulticastParts& parts) {
    return parts.memory->shareable() == ShareableHandle::fabric;
  }
  std::optional<Refusal> passOn() {
    if (!isFabric(*parts_)) {
      std::vector<Fd> files = peers_.exchangeFds(parts_->file, deadline_);
      parts_->file = std::move(files[0]);
      return std::nullopt;
    }
    std::vector<FabricHandle> handles;
    auto refusal = togetherTell<FabricHandle>(
        peers_, deadline_, [&] { return parts_->fabric; }, handles);
    if (!refusal) parts_->fabric = handles[0];
    return refusal;
  }

  std::optional<Refusal> join() {
    return take("joining the multicast object", [](MulticastParts& parts) {
      if (parts.object == nullptr)
        parts.object =
            isFabric(parts)
                ? MulticastObject::importFabric(parts.context, parts.fabric, parts.memory->bytes())
                : MulticastObject::importFd(parts.context, parts.file, parts.memory->bytes());
      parts.file.reset();
      parts.object->addDevice();
    });
  }

  /// A step of all ranks. One that never returns has a share of the parts, so that it finds all it
  /// touches still there whenever it goes on; this rank does not look at them again.
  std::optional<Refusal> take(const char* what, Step step) {
    return together(peers_, deadline_, [&] {
      const Clock::duration limit = limitNow();
      if (!watched([step, parts = parts_] { step(*parts); }, Deadline::in(limit)))
        fail(ErrorCode::timeout, "{} did not return within {:.3g} s", what,
             std::chrono::duration<double>(limit).count());
    });
  }

  /// Half of what is left at most: the others wait for this rank's answer until their deadline.
  Clock::duration limitNow() const {
    const auto left = std::max(Clock::duration::zero(), deadline_.at() - Clock::now());
    return std::min(patience_, left / 2);
  }

  /// In a thread as well: to unbind may take as long as to bind.
  void letGo() noexcept {
    if (parts_ == nullptr) return;
    try {
      watched([parts = std::move(parts_)]() mutable { parts.reset(); }, Deadline::in(kLettingGo));
    } catch (const std::exception&) {
      // There was no thread to be had, and so it was done here.
    }
  }

  Peers& peers_;
  const Deadline deadline_;
  const Clock::duration patience_;
  std::shared_ptr<MulticastParts> parts_ = std::make_shared<MulticastParts>();
};

}  // namespace

std::string whyNoMulticast(std::span<const Member> members, bool virtualMemory) {
  if (members.size() < 2) return "there is only one rank";
  if (!virtualMemory) return "CUDA IPC memory cannot be bound to a multicast object";
  for (std::size_t r = 0; r < members.size(); ++r) {
    for (std::size_t other = 0; other < r; ++other)
      if (sameDevice(members[r], members[other]))
        return fmt::format("ranks {} and {} share GPU {}", other, r, members[r].ordinal);
    if (members[r].multicast == 0)
      return fmt::format("GPU {} of rank {} has no multicast, says its driver", members[r].ordinal,
                         r);
  }
  return {};
}

Multicast::Multicast(Peers& peers, const Segments& segments, Deadline deadline,
                     Clock::duration patience) {
  std::string why = whyNoMulticast(segments.members(), segments.memory() != nullptr);
  if (why.empty()) {
    Making making(peers, segments, deadline, patience);
    if (const auto refusal = making.run())
      why = refusal->text;
    else
      parts_ = making.finish();
  }
  description_ = why.empty()
                     ? fmt::format("multimem on a multicast object of {} GPUs", peers.worldSize())
                     : fmt::format("emulated by a loop over peers, because {}", why);
}

DevicePtr Multicast::base() const noexcept {
  return parts_ == nullptr ? 0 : parts_->map.address();
}

}  // namespace lockstep::cuda
