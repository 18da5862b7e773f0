#include "cc_mode/keys/hello.hpp"

#include <algorithm>

#include "cc_mode/keys/refuse.hpp"

namespace lockstep::cc {
namespace {

/// Fields one after the other, integers big-endian.
class Writer {
 public:
  explicit Writer(std::span<std::byte> to) : to_(to) {}
  void put(std::span<const std::byte> bytes) {
    std::copy(bytes.begin(), bytes.end(), to_.begin());
    to_ = to_.subspan(bytes.size());
  }
  void put8(std::uint8_t v) {
    const std::byte bytes[] = {std::byte{v}};
    put(bytes);
  }
  void put16(std::uint16_t v) {
    put8(static_cast<std::uint8_t>(v >> 8));
    put8(static_cast<std::uint8_t>(v));
  }

 private:
  std::span<std::byte> to_;
};

/// The caller has checked the length of the whole.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> from) : from_(from) {}
  void get(std::span<std::byte> bytes) {
    std::copy_n(from_.begin(), bytes.size(), bytes.begin());
    from_ = from_.subspan(bytes.size());
  }
  std::uint8_t get8() {
    std::byte bytes[1];
    get(bytes);
    return std::to_integer<std::uint8_t>(bytes[0]);
  }
  std::uint16_t get16() {
    const std::uint8_t high = get8();
    return static_cast<std::uint16_t>(high << 8 | get8());
  }

 private:
  std::span<const std::byte> from_;
};

constexpr std::uint8_t kPreShared = 1, kAttested = 2;

/// Before the length: another version may have another one.
void checkVersion(std::span<const std::byte> message, int rank) {
  if (message.size() < sizeof Hello::kVersion) return;
  const std::uint16_t version = Reader(message).get16();
  if (version != Hello::kVersion)
    refuse(rank,
           "rank {} speaks version {} of the key exchange, this rank version {}: install the same "
           "version of Lockstep on all ranks",
           rank, version, Hello::kVersion);
}

Hello parse(std::span<const std::byte> message, int rank) {
  checkVersion(message, rank);
  checkLength(message, Hello::kBytes, rank);
  Reader reader(message);
  reader.get16();  // the version
  Hello hello;
  const std::uint8_t mode = reader.get8(), sources = reader.get8();
  if (mode >= kModes || sources > (kPreShared | kAttested))
    refuse(rank,
           "rank {} sent a key exchange message that makes no sense: it was damaged or forged",
           rank);
  hello.mode = static_cast<Mode>(mode);
  hello.preShared = (sources & kPreShared) != 0;
  hello.attested = (sources & kAttested) != 0;
  hello.rank = reader.get16();
  hello.world = reader.get16();
  reader.get(hello.cipher);
  reader.get(hello.ephemeral);
  reader.get(hello.nonce);
  return hello;
}

std::string_view keySource(const Hello& hello) {
  if (hello.preShared)
    return hello.attested ? "a pre-shared key and an attestation" : "a pre-shared key";
  return hello.attested ? "an attestation and no pre-shared key"
                        : "no pre-shared key (insecure keys)";
}

}  // namespace

std::array<std::byte, Hello::kBytes> encode(const Hello& hello) {
  std::array<std::byte, Hello::kBytes> message{};
  Writer writer(message);
  writer.put16(Hello::kVersion);
  writer.put8(static_cast<std::uint8_t>(hello.mode));
  writer.put8(static_cast<std::uint8_t>((hello.preShared ? kPreShared : 0) |
                                        (hello.attested ? kAttested : 0)));
  writer.put16(hello.rank);
  writer.put16(hello.world);
  writer.put(hello.cipher);
  writer.put(hello.ephemeral);
  writer.put(hello.nonce);
  return message;
}

Hello checkHello(std::span<const std::byte> message, int rank, const Hello& mine,
                 std::string_view cipherName) {
  const Hello hello = parse(message, rank);
  if (hello.rank != rank)
    refuse(
        rank,
        "the key exchange message in rank {}'s place is from rank {}: two processes use the same "
        "rank, or messages were swapped on the way",
        rank, hello.rank);
  if (hello.world != mine.world)
    refuse(rank, "rank {} was told of {} ranks, this rank of {}: give all the same world size",
           rank, hello.world, mine.world);
  if (hello.mode != mine.mode)
    refuse(rank, "rank {} asks for mode {}, this rank for {}: give all ranks the same mode", rank,
           name(hello.mode), name(mine.mode));
  if (hello.cipher != mine.cipher)
    refuse(rank,
           "rank {} uses another cipher than this rank's {}: name one that all machines have "
           "(Options::cipher)",
           rank, cipherName);
  if (hello.preShared != mine.preShared || hello.attested != mine.attested)
    refuse(rank,
           "rank {} has {}, this rank has {}: give every rank the same pre-shared key, or an "
           "attestation, or allow insecure keys on every rank",
           rank, keySource(hello), keySource(mine));
  return hello;
}

}  // namespace lockstep::cc
