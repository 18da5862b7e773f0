// The meeting points of this process, and the threads that serve them. A thread ends when its relay
// does (see relay.hpp), or when the process exits or unloads the library.
#include <atomic>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <pthread.h>
#include <unistd.h>

#include "base/signals_blocked.hpp"
#include "bootstrap/join_key.hpp"
#include "bootstrap/meeting_id.hpp"
#include "bootstrap/peers.hpp"
#include "bootstrap/relay.hpp"

namespace lockstep {

namespace {

/// A relay and its thread.
class Service {
 public:
  Service(Fd listener, const Token& token, std::optional<JoinKey> key)
      : relay_(std::move(listener), token, std::move(key)) {
    const SignalsBlocked blocked;
    thread_ = std::thread([this] {
      relay_.run();
      over_ = true;
    });
  }
  ~Service() {
    relay_.stop();
    thread_.join();
  }
  bool isOver() const { return over_; }

 private:
  Relay relay_;
  std::atomic<bool> over_{false};
  std::thread thread_;
};

class Registry {
 public:
  /// Never destroyed: the process may exit while others use it.
  static Registry& get() {
    static Registry* const registry = [] {
      made_ = new Registry;
      // A fork waits until nobody is inside: the child could never enter, not even to exit.
      ::pthread_atfork([] { made_->mutex_.lock(); }, [] { made_->mutex_.unlock(); },
                       [] { made_->mutex_.unlock(); });
      std::atexit([] { made_->stopAll(); });
      return made_;
    }();
    return *registry;
  }

  void serve(Fd listener, const Token& token, std::optional<JoinKey> key) {
    const std::lock_guard lock(mutex_);
    ServiceList& mine = services();
    std::erase_if(mine, [](const auto& service) { return service->isOver(); });
    mine.push_back(std::make_unique<Service>(std::move(listener), token, std::move(key)));
  }

  void stopAll() {
    const std::lock_guard lock(mutex_);
    services().clear();
  }

 private:
  using ServiceList = std::vector<std::unique_ptr<Service>>;

  /// This process's services. A forked child has inherited its parent's, but not their threads:
  /// there is nothing to join, so they are set aside.
  ServiceList& services() {
    if (::getpid() != owner_) {
      inherited_ = new ServiceList(std::exchange(services_, {}));
      owner_ = ::getpid();
    }
    return services_;
  }

  static inline Registry* made_ = nullptr;
  std::mutex mutex_;
  pid_t owner_ = ::getpid();
  ServiceList services_;
  ServiceList* inherited_ = nullptr;  ///< leaked on purpose, and kept in sight of leak checkers
};

}  // namespace

std::string openMeetingPoint(std::string_view address, std::span<const std::byte> psk) {
  Fd listener = listenTcp(address.empty() ? "127.0.0.1" : std::string(address));
  const MeetingId id{SocketAddress::of(listener), randomToken(), !psk.empty()};
  std::optional<JoinKey> key;
  if (id.keyed) key.emplace(psk, id.token);
  std::string text = id.text();
  Registry::get().serve(std::move(listener), id.token, std::move(key));
  return text;
}

}  // namespace lockstep
