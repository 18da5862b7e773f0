#include "bootstrap/meeting_connection.hpp"

#include <algorithm>
#include <bit>
#include <chrono>
#include <thread>

#include <poll.h>

#include "base/fail.hpp"
#include "base/printable.hpp"
#include "bootstrap/socket.hpp"

namespace lockstep {

using namespace std::chrono_literals;

namespace {

/// How often a wait looks at who is gone: within the 100 ms that the design promises.
constexpr auto kLook = 50ms;
/// How long a meeting point may take to say who is missing, or to pass on what ranks that are gone
/// had still given.
constexpr auto kLastWords = 1s;

RankSet nobodyGone() {
  return 0;
}

std::string describeWait(Clock::duration waited) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(waited).count();
  return ms < 1000 ? fmt::format("{} ms", ms)
                   : fmt::format("{:.3g} s", static_cast<double>(ms) / 1000);
}

/// A rank that makes several communicators at once comes more than once too, so this is a guess.
std::string describeTwice(RankSet twice) {
  if (twice == 0) return "";
  return fmt::format("; {} {} come more than once: was a process started twice with that number?",
                     describe(twice), have(twice));
}

/// What a meeting point can know of a rank that comes, and of ranks that have met. Whoever carries
/// its frames may have written them: an error of any other kind would be believed to be a fact.
bool canKnow(ErrorCode code, bool joining) {
  if (!joining) return code == ErrorCode::peerDied;
  return code == ErrorCode::invalidArgument || code == ErrorCode::mismatch ||
         code == ErrorCode::keyExchange || code == ErrorCode::system;
}

}  // namespace

MeetingConnection::MeetingConnection(const MeetingId& id, int rank, int worldSize,
                                     const JoinKey* key, Deadline deadline)
    : socket_(connectTcp(id.address, deadline)),
      rank_(rank),
      worldSize_(worldSize),
      // Nothing long before it is known who speaks.
      reader_(
          only(FrameType::challenge, FrameType::welcome, FrameType::missing, FrameType::error)) {
  const Hello hello{id.token, static_cast<std::uint32_t>(rank),
                    static_cast<std::uint32_t>(worldSize)};
  if (key == nullptr)
    join(hello, deadline);
  else
    joinKeyed(hello, *key, deadline);
  reader_.allow(only(FrameType::result, FrameType::missing, FrameType::error));
}

void MeetingConnection::join(const Hello& hello, Deadline deadline) {
  sendAll(socket_, encodeFrame(FrameType::hello, encodeHello(hello)), deadline);
  await(FrameType::welcome, nobodyGone, deadline);
}

void MeetingConnection::joinKeyed(const Hello& hello, const JoinKey& key, Deadline deadline) {
  const Nonce challenge = decodeChallenge(await(FrameType::challenge, nobodyGone, deadline));
  const JoinAttempt attempt{challenge, hello, randomNonce()};
  const KeyedHello keyed{hello, attempt.nonce, key.proofOfRank(attempt)};
  sendAll(socket_, encodeFrame(FrameType::keyedHello, encodeKeyedHello(keyed)), deadline);
  Hash proof{};
  const Bytes welcome = await(FrameType::welcome, nobodyGone, deadline);
  if (welcome.size() == proof.size()) std::copy(welcome.begin(), welcome.end(), proof.begin());
  if (!equalInConstantTime(proof, key.proofOfMeetingPoint(attempt)))
    throw Error(ErrorCode::keyExchange, rank_, {},
                "what answers at the meeting point does not know the pre-shared key: another "
                "process took its place, or the id was changed on its way to this rank");
}

std::vector<Bytes> MeetingConnection::allGather(std::span<const std::byte> mine, const Gone& gone,
                                                Deadline deadline) {
  if (mine.size() > kMaxContribution)
    fail(ErrorCode::invalidArgument, "an all-gather takes at most {} bytes from a rank, not {}",
         kMaxContribution, mine.size());
  if (!socket_)
    fail(ErrorCode::bootstrap,
         "rank {} left the meeting point after an earlier error; make a new communicator", rank_);
  try {
    // If it cannot be sent, there may still be something to read that tells why.
    sendAll(socket_, encodeFrame(FrameType::gather, mine), deadline);
    return decodeResult(await(FrameType::result, gone, deadline), worldSize_);
  } catch (...) {
    socket_.reset();
    throw;
  }
}

void MeetingConnection::check() {
  Frame frame;
  if (!readFrame(Deadline::in(0s), nobodyGone, frame)) return;
  if (frame.type == FrameType::error) throwFailure(decodeFailure(frame.payload), false);
}

/// Waits for a frame of the wanted type; every other outcome is an error.
Bytes MeetingConnection::await(FrameType wanted, const Gone& gone, Deadline deadline) {
  const auto start = Clock::now();
  bool gaveUp = false;
  RankSet lost = 0;
  for (;;) {
    Frame frame;
    if (readFrame(sooner(deadline, Deadline::in(kLook)), gone, frame)) {
      if (frame.type == wanted) return std::move(frame.payload);
      const bool joining = wanted != FrameType::result;
      if (frame.type == FrameType::error) throwFailure(decodeFailure(frame.payload), joining);
      if (frame.type == FrameType::missing)
        failMissing(decodeMissing(frame.payload), start, joining);
      fail(ErrorCode::bootstrap, "the meeting point answered out of turn");
    } else if (deadline.passed() && lost != 0) {
      throw Error(ErrorCode::peerDied, std::countr_zero(lost), {},
                  describe(lost) + " " + have(lost) + " gone");
    } else if (deadline.passed() && gaveUp) {
      fail(ErrorCode::timeout,
           "waited {} for the meeting point, which does not answer; is its "
           "process stopped?",
           describeWait(Clock::now() - start));
    } else if (deadline.passed()) {
      gaveUp = true;
      deadline = Deadline::in(kLastWords);
      sendAll(socket_, encodeFrame(FrameType::giveUp), deadline);
    } else if (lost == 0 && !gaveUp && (lost = gone()) != 0) {
      deadline = sooner(deadline, Deadline::in(kLastWords));
    }
  }
}

/// False: the deadline passed inside a frame, or before one.
bool MeetingConnection::readFrame(Deadline deadline, const Gone& gone, Frame& frame) {
  for (;;) {
    const auto got = receiveNow(socket_, reader_.space());
    if (!got) failLost(gone);
    if (*got == 0 && !waitFor(socket_, POLLIN, deadline)) return false;
    if (*got == 0) continue;
    if (!reader_.received(*got))
      fail(ErrorCode::bootstrap,
           "what answers at the meeting point is none; is the id of this run, and do all ranks run "
           "the same version of Lockstep?");
    if (!reader_.complete()) continue;
    frame = reader_.take();
    return true;
  }
}

void MeetingConnection::throwFailure(const Failure& said, bool joining) const {
  const std::string text = printable(said.text, said.text.size());
  if (!canKnow(said.code, joining))
    fail(ErrorCode::bootstrap, "the meeting point says what it cannot know: {} ({})", text,
         name(said.code));
  throw Error(said.code, said.rank < worldSize_ ? said.rank : -1, {}, text);
}

void MeetingConnection::failMissing(const Missing& said, Clock::time_point start,
                                    bool joining) const {
  const RankSet missing = said.ranks & allRanks(worldSize_);
  const auto waited = describeWait(Clock::now() - start);
  const int blame = std::has_single_bit(missing) ? std::countr_zero(missing) : -1;
  if ((missing & rankBit(rank_)) != 0)
    throw Error(ErrorCode::timeout, rank_, {},
                fmt::format("the other ranks gave up waiting for this one (rank {} of {})", rank_,
                            worldSize_));
  throw Error(ErrorCode::timeout, blame, {},
              joining ? fmt::format("waited {} at the meeting point: {} of {} {} not come; start "
                                    "them, or check that they use the same id (and pre-shared "
                                    "key){}",
                                    waited, describe(missing), worldSize_, have(missing),
                                    describeTwice(said.twice & allRanks(worldSize_)))
                      : fmt::format("waited {} for an exchange of all ranks: {} of {} {} not taken "
                                    "part; are they stopped, or elsewhere in the program?",
                                    waited, describe(missing), worldSize_, have(missing)));
}

/// The connection has ended, most likely with the process at its other end: say which, if one is
/// known. Its death may show a moment later elsewhere.
void MeetingConnection::failLost(const Gone& gone) const {
  RankSet lost = gone();
  for (const auto until = Deadline::in(100ms); lost == 0 && !until.passed(); lost = gone())
    std::this_thread::sleep_for(5ms);
  if (lost != 0)
    throw Error(ErrorCode::peerDied, std::countr_zero(lost), {},
                fmt::format("lost the meeting point: {} {} gone", describe(lost), have(lost)));
  fail(ErrorCode::bootstrap,
       "the meeting point closed the connection: its process has ended, or the id is not of this "
       "run");
}

}  // namespace lockstep
