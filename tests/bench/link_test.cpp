#include "bench/link.hpp"

#include <thread>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/socket.h>

#include "bench/abstract_socket.hpp"
#include "bench/hex.hpp"
#include <lockstep/error.hpp>

namespace lockstep::bench {
namespace {

using nlohmann::json;

std::pair<Fd, Fd> socketPair() {
  int ends[2];
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  return {Fd(ends[0]), Fd(ends[1])};
}

TEST(Link, CarriesMessagesInOrderWhateverTheirSize) {
  auto [a, b] = socketPair();
  Link left(std::move(a)), right(std::move(b));
  const json large = std::string(1 << 20, 'x');
  std::thread sender([&] {
    left.send({{"n", 1}});
    left.send(large);
    left.send({{"text", "line\nbreak"}});
  });
  const Deadline soon = Deadline::in(std::chrono::seconds(20));
  EXPECT_EQ(right.receive(soon), json({{"n", 1}}));
  EXPECT_EQ(right.receive(soon), large);
  EXPECT_EQ(right.receive(soon), json({{"text", "line\nbreak"}}));
  sender.join();
}

TEST(Link, SaysWhenTheOtherEndIsGoneOrSilent) {
  auto [a, b] = socketPair();
  Link right(std::move(b));
  try {
    right.receive(Deadline::in(std::chrono::milliseconds(10)));
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::timeout);
  }
  a.reset();
  EXPECT_THROW(right.receive(Deadline::in(std::chrono::seconds(20))), Error);
  EXPECT_THROW(right.send(1), Error);
}

TEST(Link, CarriesAKeyBeforeTheText) {
  auto [a, b] = socketPair();
  Link left(std::move(a)), right(std::move(b));
  const std::vector<std::byte> key(40, std::byte{'\n'});
  left.sendKey(key);
  left.sendKey({});
  left.send("text");
  const Deadline soon = Deadline::in(std::chrono::seconds(20));
  EXPECT_EQ(right.receiveKey(soon), key);
  EXPECT_TRUE(right.receiveKey(soon).empty());
  EXPECT_EQ(right.receive(soon), json("text"));
  EXPECT_THROW(right.receiveKey(Deadline::in(std::chrono::milliseconds(10))), Error);
  EXPECT_THROW(right.sendKey(std::vector<std::byte>(1 << 16)), Error);
  { const Link gone(std::move(left)); }
  EXPECT_THROW(right.receiveKey(soon), Error);
}

TEST(AbstractSocket, ConnectsByName) {
  std::string name;
  const Fd listener = listenAbstract(name);
  EXPECT_FALSE(acceptSameUser(listener));
  Link client(connectAbstract(name));
  Link server(acceptSameUser(listener));
  client.send("hello");
  EXPECT_EQ(server.receive(Deadline::in(std::chrono::seconds(20))), json("hello"));
  EXPECT_THROW(connectAbstract(name + "x"), Error);
}

TEST(Hex, RoundTrips) {
  const std::vector<std::byte> bytes{std::byte{0}, std::byte{0x9a}, std::byte{0xff}};
  EXPECT_EQ(toHex(bytes), "009aff");
  EXPECT_EQ(fromHex("009aff"), bytes);
}

}  // namespace
}  // namespace lockstep::bench
