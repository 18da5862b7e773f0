#include "bench/coordinator.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <poll.h>

#include "base/fail.hpp"
#include "bench/abstract_socket.hpp"

namespace lockstep::bench {
namespace {

using nlohmann::json;

/// After one failure the others have this long to say what they saw: the library tells them within
/// 100 ms.
constexpr auto kTellTime = std::chrono::seconds(2);
/// A rank is silent at most while one size is verified and its first round runs; all waits inside
/// are bounded by the library's own time-out.
constexpr double kSilenceSeconds = 60;
/// The same on GPUs, where a communicator's kernels are compiled first.
constexpr double kCompileSeconds = 600;

/// These say that another rank failed: shown after those that say why.
bool isConsequence(const std::string& code) {
  return code == name(ErrorCode::peerDied) || code == name(ErrorCode::aborted) ||
         code == name(ErrorCode::timeout) || code == name(ErrorCode::bootstrap);
}

bool isBadRequest(const std::string& code) {
  return code == name(ErrorCode::invalidArgument) || code == name(ErrorCode::unsupported);
}

}  // namespace

Coordinator::Coordinator(const Launch& launch, Children& children, std::string childName)
    : launch_(launch), children_(children), childName_(std::move(childName)) {}

Outcome Coordinator::run() {
  lastHeard_ = Clock::now();
  while (!finished()) {
    wait();
    takeSignals();
    acceptRanks();
    readLinks();
    while (const auto end = children_.reap()) noteEnd(*end);
    noteSilence();
  }
  children_.terminate();
  return conclude();
}

bool Coordinator::finished() const {
  if (outcome_.signal != 0) return true;
  if (failed_ && failing_.passed()) return true;
  const bool linksOpen = std::any_of(connections_.begin(), connections_.end(),
                                     [](const Connection& c) { return c.open; });
  return !linksOpen && !children_.running();
}

void Coordinator::wait() {
  std::vector<pollfd> ready{{signals_.fd(), POLLIN, 0}};
  if (listener_) ready.push_back({listener_.get(), POLLIN, 0});
  for (const Connection& connection : connections_)
    if (connection.open) ready.push_back({connection.link.fd(), POLLIN, 0});
  ::poll(ready.data(), ready.size(), 200);
}

void Coordinator::takeSignals() {
  while (const int signal = signals_.take())
    if (signal != SIGCHLD && outcome_.signal == 0) outcome_.signal = signal;
}

void Coordinator::acceptRanks() {
  if (!listener_) return;
  while (Fd fd = acceptSameUser(listener_)) addLink(std::move(fd));
}

void Coordinator::readLinks() {
  for (Connection& connection : connections_) {
    if (!connection.open) continue;
    connection.open = connection.link.pump();
    while (const auto message = connection.link.next()) {
      lastHeard_ = Clock::now();
      handle(connection, *message);
    }
  }
}

void Coordinator::handle(Connection& connection, const json& message) {
  if (message.contains("hello")) {
    connection.rank = message.at("hello").get<int>();
    greet(connection);
  } else if (message.contains("meeting")) {
    meeting_ = message.dump();
    passOnMeeting();
  } else if (message.contains("progress")) {
    const json& p = message.at("progress");
    if (launch_.progress)
      launch_.progress(p.at("done").get<std::size_t>(), p.at("total").get<std::size_t>(),
                       p.at("text").get<std::string>());
  } else if (message.contains("part")) {
    keepPart(message.at("part").get<RunResult>());
  } else if (message.contains("fault")) {
    outcome_.faults.push_back(message.at("fault").get<std::string>());
  } else if (message.contains("error")) {
    connection.told = true;
    const auto code = message.at("error").at("code").get<std::string>();
    outcome_.badRequest |= isBadRequest(code);
    const std::string who =
        connection.rank >= 0 ? fmt::format("rank {}", connection.rank) : "a rank";
    fail(fmt::format("{}: {}: {}", who, code, message.at("error").at("message").get<std::string>()),
         isConsequence(code));
  } else if (message.contains("done")) {
    connection.told = true;
    if (!message.at("done").is_null()) outcome_.result = message.at("done").get<RunResult>();
  }
}

void Coordinator::keepPart(RunResult part) {
  std::vector<Row> rows;
  if (outcome_.finished) rows = std::move(outcome_.finished->rows);
  rows.insert(rows.end(), part.rows.begin(), part.rows.end());
  outcome_.finished = std::move(part);
  outcome_.finished->rows = std::move(rows);
}

void Coordinator::greet(Connection& connection) {
  try {
    connection.link.sendKey(launch_.psk);
    connection.link.send({{"config", launch_.config}});
    if (connection.rank != 0 && !meeting_.empty()) connection.link.send(json::parse(meeting_));
  } catch (const Error&) {  // the rank is gone; its end says why
  }
}

void Coordinator::passOnMeeting() {
  for (Connection& connection : connections_) try {
      if (connection.rank > 0) connection.link.send(json::parse(meeting_));
    } catch (const Error&) {  // as above
    }
}

void Coordinator::noteSilence() {
  const double patience =
      (launch_.config.gpu ? kCompileSeconds : kSilenceSeconds) + launch_.config.timeoutSeconds;
  if (!failed_ && Clock::now() - lastHeard_ > std::chrono::duration<double>(patience))
    fail(fmt::format("no rank has given a sign of life for {:.0f} s", patience), false);
}

void Coordinator::noteEnd(const ChildEnd& end) {
  if (end.status == 0) return;
  const bool isRank = childName_.empty();
  const auto told = [&](const Connection& c) {
    return c.told && (!isRank || c.rank == static_cast<int>(end.index));
  };
  // Read first: what a rank said before it ended explains the end.
  readLinks();
  if (std::any_of(connections_.begin(), connections_.end(), told)) return;
  const std::string who = isRank ? fmt::format("rank {}", end.index) : childName_;
  fail(fmt::format("{} {}", who, describeEnd(end.status)), false);
}

void Coordinator::fail(std::string text, bool consequence) {
  (consequence ? consequences_ : outcome_.errors).push_back(std::move(text));
  if (!failed_) failing_ = Deadline::in(kTellTime);
  failed_ = true;
}

Outcome Coordinator::conclude() {
  auto& errors = outcome_.errors;
  errors.insert(errors.end(), consequences_.begin(), consequences_.end());
  if (failed_) outcome_.result.reset();
  if (!failed_ && !outcome_.result && outcome_.signal == 0)
    errors.push_back("the ranks ended without a result");
  return std::move(outcome_);
}

}  // namespace lockstep::bench
