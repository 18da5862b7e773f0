#include "bootstrap/meeting_id.hpp"

#include <charconv>

#include "base/fail.hpp"
#include "base/printable.hpp"
#include "bootstrap/peers.hpp"

namespace lockstep {

namespace {

constexpr std::string_view kOpen = "lockstep1:", kKeyed = "lockstep2:";
constexpr std::size_t kMaxText = 160;  // UniqueId::text promises it

/// Cuts the field after the last colon off `text`.
std::string_view cutLast(std::string_view& text) {
  const auto colon = text.rfind(':');
  if (colon == text.npos) return {};
  const auto field = text.substr(colon + 1);
  text = text.substr(0, colon);
  return field;
}

/// A port as a number prints it, or 0.
int parsePort(std::string_view text) {
  int port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  const bool fine = error == std::errc{} && end == text.data() + text.size() && port > 0 &&
                    port < 65536 && text.front() != '0';
  return fine ? port : 0;
}

std::optional<MeetingId> tryParse(std::string_view text) {
  static_assert(kOpen.size() == kKeyed.size());
  const bool keyed = text.starts_with(kKeyed);
  if (text.size() > kMaxText || (!keyed && !text.starts_with(kOpen))) return std::nullopt;
  text.remove_prefix(kOpen.size());
  const auto token = parseToken(cutLast(text));
  const int port = parsePort(cutLast(text));
  // getaddrinfo stops at a NUL; it also takes the empty name for loopback.
  if (!token || port == 0 || text.empty() || text.find('\0') != text.npos) return std::nullopt;
  const auto address = SocketAddress::parse(std::string(text), port);
  if (!address || address->isWildcard()) return std::nullopt;
  return MeetingId{*address, *token, keyed};
}

}  // namespace

MeetingId MeetingId::parse(std::string_view text) {
  if (auto id = tryParse(text)) return *id;
  fail(ErrorCode::invalidArgument,
       "'{}' is not the text of a meeting point; it should read "
       "lockstep1:<address>:<port>:<32 hex digits> (or lockstep2:...), as rank 0 printed it",
       printable(text, kMaxText));
}

std::string MeetingId::text() const {
  return fmt::format("{}{}:{}:{}", keyed ? kKeyed : kOpen, address.host(), address.port(),
                     toHex(token));
}

void checkMeetingPoint(std::string_view text) {
  MeetingId::parse(text);
}

bool isKeyedMeetingPoint(std::string_view text) {
  return MeetingId::parse(text).keyed;
}

}  // namespace lockstep
