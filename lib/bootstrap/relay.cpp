#include "bootstrap/relay.hpp"

#include <algorithm>
#include <cstdint>
#include <exception>
#include <span>
#include <utility>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/fail.hpp"
#include "bootstrap/socket.hpp"

namespace lockstep {

/// Ranks that have met. Members are by rank, null once they left.
struct Relay::Group {
  std::vector<Connection*> members;
  std::vector<Bytes> given;  ///< by rank, for the all-gather in progress
  RankSet have = 0;          ///< who has given
  bool failed = false;

  int worldSize() const { return static_cast<int>(members.size()); }
};

struct Relay::Connection {
  enum class State {
    stranger,  ///< has said nothing yet
    waiting,   ///< for the rest of its world
    member,    ///< of `group`
    finished,  ///< has been told that it cannot go on; should leave by itself
  };

  Connection(Fd fd, FrameType hello) : socket(std::move(fd)), reader(only(hello)) {}

  void become(State next) {
    state = next;
    since = Clock::now();
    reader.allow(next == State::waiting ? only(FrameType::giveUp)
                                        : only(FrameType::gather, FrameType::giveUp));
  }

  bool isStranger() const { return !known && !dropped; }

  Fd socket;
  State state = State::stranger;
  const Clock::time_point arrived = Clock::now();
  Clock::time_point since = arrived;  ///< in this state
  bool known = false;                 ///< has said a valid Hello
  FrameReader reader;
  Nonce challenge{};  ///< of a keyed relay, for this connection alone
  Bytes proof;        ///< for its welcome; empty at a relay without a key
  std::deque<Message> out;
  std::size_t sent = 0;  ///< bytes of out.front()
  int rank = -1;
  int worldSize = 0;
  std::shared_ptr<Group> group;
  bool twice = false;    ///< another of its rank waited when this one did
  bool onSpare = false;  ///< there was no descriptor left for it
  bool dropped = false;  ///< to be closed by the next sweep
};

namespace {

std::shared_ptr<const Bytes> message(FrameType type, std::span<const std::byte> payload = {}) {
  return std::make_shared<const Bytes>(encodeFrame(type, payload));
}

constexpr std::size_t kFirstConnection = 2;  // in the poll list

Fd duplicate(const Fd& fd) {
  return Fd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
}

}  // namespace

Relay::Relay(Fd listener, const Token& token, std::optional<JoinKey> key, Limits limits)
    : listener_(std::move(listener)),
      stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      spare_(duplicate(stop_)),
      token_(token),
      key_(std::move(key)),
      limits_(limits) {
  if (!stop_) failErrno("cannot create an event descriptor");
}

Relay::~Relay() = default;

void Relay::stop() noexcept {
  const std::uint64_t one = 1;
  // Fails only if the counter is full: then it is readable, which is all that counts.
  [[maybe_unused]] const ssize_t written = ::write(stop_.get(), &one, sizeof one);
}

void Relay::run() noexcept {
  try {
    for (;;) {
      const auto now = Clock::now();
      if (isOver(now)) break;
      buildPollList(now);
      if (::poll(pollList_.data(), pollList_.size(), pollTimeout(now)) < 0 && errno != EINTR) break;
      if (pollList_[0].revents != 0) break;
      serveOnce();
    }
  } catch (const std::exception&) {
    // Out of memory in the loop itself: closing everything tells every rank.
  }
  for (auto& queue : waiting_) queue.clear();
  connections_.clear();
  listener_.reset();
}

bool Relay::isOver(Clock::time_point now) const {
  return groupFormed_ && connections_.empty() && now - busyAt_ >= kLinger;
}

void Relay::buildPollList(Clock::time_point now) {
  if (!connections_.empty()) busyAt_ = now;
  pollList_.clear();
  pollList_.push_back({stop_.get(), POLLIN, 0});
  pollList_.push_back({now < acceptFrom() ? -1 : listener_.get(), POLLIN, 0});
  for (const auto& c : connections_)
    pollList_.push_back(
        {c->socket.get(), static_cast<short>(c->out.empty() ? POLLIN : POLLIN | POLLOUT), 0});
}

int Relay::pollTimeout(Clock::time_point now) const {
  auto wake = Clock::time_point::max();
  if (now < acceptFrom()) wake = acceptFrom();
  if (groupFormed_ && connections_.empty()) wake = std::min(wake, busyAt_ + kLinger);
  for (const auto& c : connections_)
    if (c->state == Connection::State::stranger || c->state == Connection::State::finished)
      wake = std::min(wake, c->since + kPatience);
  if (wake == Clock::time_point::max()) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(wake - now).count();
  return static_cast<int>(std::max<std::int64_t>(left, 0));
}

void Relay::serveOnce() {
  for (std::size_t i = kFirstConnection; i < pollList_.size(); ++i) {
    Connection& c = *connections_[i - kFirstConnection];
    const short events = pollList_[i].revents;
    if ((events & POLLOUT) != 0) flush(c);
    if ((events & ~POLLOUT) != 0 && !c.dropped) read(c);
  }
  expire(Clock::now());
  sweep();  // the descriptors of those who have left are for those who come
  if (pollList_[1].revents == 0) return;
  accept();
  sweep();
}

std::size_t Relay::strangers() const {
  return static_cast<std::size_t>(std::count_if(connections_.begin(), connections_.end(),
                                                [](const auto& c) { return c->isStranger(); }));
}

Relay::Connection* Relay::oldestStranger() const {
  // Connections are in the order in which they came.
  const auto oldest = std::find_if(connections_.begin(), connections_.end(),
                                   [](const auto& c) { return c->isStranger(); });
  return oldest == connections_.end() ? nullptr : oldest->get();
}

/// When there is a place for one more stranger.
Clock::time_point Relay::acceptFrom() const {
  if (strangers() < limits_.strangers) return retryFrom_;
  return std::max(retryFrom_, oldestStranger()->arrived + limits_.grace);
}

Fd Relay::acceptNow() {
  return Fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

void Relay::accept() {
  if (!spare_) spare_ = duplicate(stop_);
  Fd socket = acceptNow();
  const bool onSpare = !socket && outOfDescriptors(errno);
  if (onSpare) {
    // Strangers go first. If it is ranks that take them all, the next one is let in to hear so.
    if (Connection* const oldest = oldestStranger()) {
      retryFrom_ = oldest->arrived + limits_.grace;
      oldest->dropped = retryFrom_ <= Clock::now();
      return;
    }
    spare_.reset();
    socket = acceptNow();
  }
  if (!socket) {
    // Out of descriptors or memory, the listener stays readable: look again in a while.
    if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
      retryFrom_ = Clock::now() + std::chrono::milliseconds(100);
    return;
  }
  const int on = 1;
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  connections_.push_back(std::make_unique<Connection>(
      std::move(socket), key_ ? FrameType::keyedHello : FrameType::hello));
  Connection& newcomer = *connections_.back();
  newcomer.onSpare = onSpare;
  if (key_) {
    newcomer.challenge = randomNonce();
    send(newcomer, message(FrameType::challenge, encodeChallenge(newcomer.challenge)));
  }
  // What has arrived has been read by now: the oldest has had its time and said nothing.
  if (strangers() > limits_.strangers) oldestStranger()->dropped = true;
}

void Relay::read(Connection& from) try {
  // A bounded number of turns, so that a busy sender does not keep the others waiting.
  for (int turn = 0; turn < 16 && !from.dropped; ++turn) {
    const auto got = receiveNow(from.socket, from.reader.space());
    if (!got) from.dropped = true;
    if (!got || *got == 0) return;
    if (!from.reader.received(*got))
      from.dropped = true;
    else if (from.reader.complete())
      handle(from, from.reader.take());
  }
} catch (const std::exception&) {
  from.dropped = true;  // out of memory, or a payload that its encoder could not have written
}

void Relay::handle(Connection& from, Frame frame) {
  switch (from.state) {
    case Connection::State::stranger:
      greet(from, frame.payload);
      break;
    case Connection::State::waiting:
      abandonJoin(from);
      break;
    case Connection::State::member:
      if (frame.type == FrameType::gather)
        contribute(from, std::move(frame.payload));
      else
        abandonGather(from);
      break;
    case Connection::State::finished:
      break;  // it had sent this before it heard
  }
}

void Relay::expire(Clock::time_point now) {
  for (const auto& c : connections_)
    if ((c->state == Connection::State::stranger || c->state == Connection::State::finished) &&
        now - c->since >= kPatience)
      c->dropped = true;
}

void Relay::sweep() {
  const auto isDropped = [](const auto& c) { return c->dropped; };
  // Telling the others that one has left may find that more have.
  for (auto it = std::find_if(connections_.begin(), connections_.end(), isDropped);
       it != connections_.end();
       it = std::find_if(connections_.begin(), connections_.end(), isDropped)) {
    const auto gone = std::move(*it);
    connections_.erase(it);
    leave(*gone);
  }
}

// ---- joining

void Relay::greet(Connection& stranger, std::span<const std::byte> greeting) {
  const KeyedHello said = key_ ? decodeKeyedHello(greeting) : KeyedHello{decodeHello(greeting)};
  if (!sameToken(said.hello.token, token_)) {
    stranger.dropped = true;
    return;
  }
  if (key_ && !proves(stranger, said))
    return turnAway(stranger,
                    {ErrorCode::keyExchange, -1,
                     "this rank has another pre-shared key than the meeting point: give every rank "
                     "the one that the id was made with (Options::psk)"});
  stranger.known = true;
  admit(stranger, said.hello);
}

/// Keeps the answering proof for the welcome.
bool Relay::proves(Connection& stranger, const KeyedHello& said) const {
  const JoinAttempt attempt{stranger.challenge, said.hello, said.nonce};
  if (!equalInConstantTime(said.proof, key_->proofOfRank(attempt))) return false;
  const Hash answer = key_->proofOfMeetingPoint(attempt);
  stranger.proof.assign(answer.begin(), answer.end());
  return true;
}

void Relay::admit(Connection& joiner, const Hello& hello) {
  if (hello.worldSize < 1 || hello.worldSize > kMaxWorld || hello.rank >= hello.worldSize)
    return turnAway(joiner,
                    {ErrorCode::invalidArgument, -1,
                     fmt::format("there is no rank {} in a world of {}; ranks count from 0, and a "
                                 "world has 1 to {} of them",
                                 hello.rank, hello.worldSize, kMaxWorld)});
  joiner.rank = static_cast<int>(hello.rank);
  joiner.worldSize = static_cast<int>(hello.worldSize);
  if (!worldAgrees(joiner)) return;
  if (mustHearOfShortage(joiner)) return tellOfShortage(joiner);
  joiner.become(Connection::State::waiting);
  auto& own = waiting_[hello.rank];
  own.push_back(&joiner);
  formGroup(joiner.worldSize);
  if (own.size() > 1)
    for (Connection* const one : own) one->twice = true;
}

bool Relay::worldAgrees(Connection& joiner) {
  for (const auto& queue : waiting_) {
    if (queue.empty() || queue.front()->worldSize == joiner.worldSize) continue;
    turnAway(joiner,
             {ErrorCode::mismatch, joiner.rank,
              fmt::format(
                  "rank {} was started with a world size of {}, but rank {}, which waits at "
                  "the same meeting point, with {}; give every rank the same",
                  joiner.rank, joiner.worldSize, queue.front()->rank, queue.front()->worldSize)});
    return false;
  }
  return true;
}

void Relay::formGroup(int worldSize) {
  const auto world = std::span(waiting_).first(static_cast<std::size_t>(worldSize));
  if (std::any_of(world.begin(), world.end(), [](const auto& queue) { return queue.empty(); }))
    return;
  const auto group = std::make_shared<Group>();
  group->given.resize(world.size());
  for (auto& queue : world) {
    Connection* const member = queue.front();
    queue.pop_front();
    member->become(Connection::State::member);
    member->group = group;
    group->members.push_back(member);
  }
  groupFormed_ = true;
  for (Connection* const member : group->members)
    send(*member, message(FrameType::welcome, member->proof));
}

void Relay::abandonJoin(Connection& from) {
  const auto& own = waiting_[static_cast<std::size_t>(from.rank)];
  const auto round = std::find(own.begin(), own.end(), &from) - own.begin();
  Missing missing;
  std::vector<Connection*> company;  // those who wait for the same missing ranks
  for (int rank = 0; rank < from.worldSize; ++rank) {
    auto& queue = waiting_[static_cast<std::size_t>(rank)];
    if (static_cast<std::ptrdiff_t>(queue.size()) <= round) {
      missing.ranks |= rankBit(rank);
      continue;
    }
    company.push_back(queue[static_cast<std::size_t>(round)]);
    if (company.back()->twice) missing.twice |= rankBit(rank);
    queue.erase(queue.begin() + round);
  }
  const Message verdict = message(FrameType::missing, encodeMissing(missing));
  for (Connection* const one : company) {
    one->become(Connection::State::finished);
    send(*one, verdict);
  }
}

void Relay::turnAway(Connection& joiner, const Failure& why) {
  joiner.become(Connection::State::finished);
  send(joiner, message(FrameType::error, encodeFailure(why)));
}

/// Once one rank had no place, the others of its world wait in vain: those who are here, and those
/// who come later. A rank that has heard and comes again is of another attempt.
bool Relay::mustHearOfShortage(const Connection& joiner) {
  if (Clock::now() - tooManySince_ >= kPatience || (tooMany_ & rankBit(joiner.rank)) == 0)
    tooMany_ = 0;
  return joiner.onSpare || tooMany_ != 0;
}

void Relay::tellOfShortage(Connection& joiner) {
  if (tooMany_ == 0) {
    tooMany_ = allRanks(joiner.worldSize);
    tooManySince_ = Clock::now();
  }
  const Failure why{ErrorCode::system, -1,
                    fmt::format("the meeting point cannot let all {} ranks in: its process has no "
                                "file descriptor left; raise 'ulimit -n' there",
                                joiner.worldSize)};
  tooMany_ &= ~rankBit(joiner.rank);
  turnAway(joiner, why);
  for (auto& queue : waiting_)
    for (Connection* const one : std::exchange(queue, {})) {
      tooMany_ &= ~rankBit(one->rank);
      turnAway(*one, why);
    }
}

// ---- all-gather

void Relay::contribute(Connection& from, Bytes payload) {
  Group& group = *from.group;
  if (group.failed) return;  // it had sent this before it heard
  if ((group.have & rankBit(from.rank)) != 0) {
    from.dropped = true;  // a second contribution before the first result: not one of ours
    return;
  }
  group.given[static_cast<std::size_t>(from.rank)] = std::move(payload);
  group.have |= rankBit(from.rank);
  if (group.have != allRanks(group.worldSize())) return;
  const Message result = message(FrameType::result, encodeResult(group.given));
  group.have = 0;
  for (Bytes& bytes : group.given) bytes = {};
  tell(group, result);
}

void Relay::abandonGather(Connection& from) {
  Group& group = *from.group;
  // One that does not wait here has been overtaken by its result.
  if (group.failed || (group.have & rankBit(from.rank)) == 0) return;
  const RankSet missing = allRanks(group.worldSize()) & ~group.have;
  failGroup(group, message(FrameType::missing, encodeMissing({.ranks = missing})));
}

void Relay::leave(Connection& from) {
  if (from.state == Connection::State::waiting)
    std::erase(waiting_[static_cast<std::size_t>(from.rank)], &from);
  if (!from.group) return;
  Group& group = *from.group;
  group.members[static_cast<std::size_t>(from.rank)] = nullptr;
  if (!group.failed)
    failGroup(group, message(FrameType::error,
                             encodeFailure({ErrorCode::peerDied, from.rank,
                                            fmt::format("rank {} has left the communicator: its "
                                                        "process ended, or it failed; see its "
                                                        "output",
                                                        from.rank)})));
}

void Relay::failGroup(Group& group, const Message& why) {
  group.failed = true;
  tell(group, why);
}

/// Rank 0 last: it often is the process that this runs in, and may end as soon as it has heard.
void Relay::tell(const Group& group, const Message& message) {
  for (auto member = group.members.rbegin(); member != group.members.rend(); ++member)
    if (*member != nullptr) send(**member, message);
}

void Relay::send(Connection& to, Message message) {
  to.out.push_back(std::move(message));
  flush(to);
}

void Relay::flush(Connection& to) {
  while (!to.out.empty()) {
    const Bytes& front = *to.out.front();
    const auto sent = sendNow(to.socket, std::span(front).subspan(to.sent));
    if (!sent) to.dropped = true;
    if (!sent || *sent == 0) return;
    to.sent += *sent;
    if (to.sent < front.size()) continue;
    to.out.pop_front();
    to.sent = 0;
  }
}

}  // namespace lockstep
