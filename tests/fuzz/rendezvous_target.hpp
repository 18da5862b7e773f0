// A process of this user that says what it likes at a launcher's rendezvous: as one who visits
// rank 0, or in rank 0's place. Rank 0 counts nobody who did not prove the key; nobody waits on.
#pragma once

#include <array>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bootstrap/rendezvous.hpp"
#include "bootstrap/socket.hpp"
#include "bootstrap/unix_socket.hpp"
#include "fuzz/input.hpp"
#include <lockstep/error.hpp>

namespace lockstep::fuzz {

/// One message: noise, or what was heard with a few bytes changed.
inline std::vector<std::byte> answer(Input& input, std::vector<std::byte> heard) {
  if (input.byte() % 2 == 0) return input.bytes(1 + input.below(400));
  if (input.byte() % 4 == 0) heard.resize(1 + input.below(400));
  for (std::size_t n = input.below(16); n > 0 && !heard.empty(); --n)
    heard[input.below(heard.size())] = static_cast<std::byte>(input.byte());
  return heard;
}

/// A few messages, each after something was heard, as long as the other end stays.
inline void converse(Input& input, const Fd& socket) {
  const auto patience = Deadline::in(std::chrono::milliseconds(2));
  std::vector<std::byte> room(1024), heard;
  for (int turn = 0; turn < 4; ++turn) {
    if (waitFor(socket, POLLIN, patience)) {
      const auto got = receiveNow(socket, room);
      if (!got) return;
      heard.assign(room.begin(), room.begin() + static_cast<std::ptrdiff_t>(*got));
    }
    sendNow(socket, answer(input, heard));
  }
}

inline void visitRankZero(Input& input, const Rendezvous& place) {
  std::thread host([&] {
    try {
      meetAt(
          place, [] { return std::string("here"); }, Deadline::in(std::chrono::milliseconds(5)));
      demand(false);  // rank 1 has not come
    } catch (const Error& error) {
      demand(error.code() == ErrorCode::timeout && error.rank() == 1);
    }
  });
  const UnixAddress address(socketNameOf(place));
  for (int visit = 0; visit < 4 && !input.empty(); ++visit) {
    const Fd socket = openUnix();
    const auto until = Deadline::in(std::chrono::milliseconds(2));
    while (::connect(socket.get(), address.get(), address.size()) != 0 && !until.passed())
      std::this_thread::yield();
    converse(input, socket);
  }
  host.join();
}

inline void playRankZero(Input& input, const Rendezvous& place) {
  const UnixAddress address(socketNameOf(place));
  Fd listener = openUnix();
  demand(::bind(listener.get(), address.get(), address.size()) == 0 &&
         ::listen(listener.get(), 8) == 0);
  std::thread rank([&] {
    try {
      demand(meetAt(place, {}, Deadline::in(std::chrono::milliseconds(5))).size() <= 256);
    } catch (const Error& error) {
      demand(error.code() == ErrorCode::timeout || error.code() == ErrorCode::mismatch ||
             error.code() == ErrorCode::keyExchange);
    }
  });
  const auto until = Deadline::in(std::chrono::milliseconds(5));
  while (waitFor(listener, POLLIN, until)) {
    const Fd socket(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (socket) converse(input, socket);
    if (until.passed()) break;
  }
  listener.reset();  // and with it who still waits there
  rank.join();
}

inline void rendezvous(std::span<const std::byte> bytes) {
  static constexpr std::array<std::byte, 32> kPsk{std::byte{0x5a}};
  static int meetings = 0;
  Input input(bytes);
  const unsigned how = input.byte();
  Rendezvous place{.name = "fuzz " + std::to_string(::getpid()) + "#" + std::to_string(meetings++),
                   .rank = static_cast<int>(how % 2),
                   .worldSize = 2};
  if (place.rank == 0 || how % 4 == 1) place.psk = kPsk;
  if (place.rank == 0)
    visitRankZero(input, place);
  else
    playRankZero(input, place);
}

}  // namespace lockstep::fuzz
