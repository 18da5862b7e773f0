// Processes share the fake's device memory, and their kernels wait for each other.
#include <csignal>
#include <cstring>

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.hpp"
#include "cuda/fake_gpu.hpp"
#include "cuda/fresh_process.hpp"

namespace lockstep::testing {
namespace {

using namespace cuda;

constexpr std::size_t kBytes = std::size_t{2} << 20;

/// Plays ping-pong with the other process: it has the even numbers, or the odd ones.
const std::string kPingPong = R"(
#include "executor/cuda/prelude/platform.cuh"
namespace lockstep::device {
struct Launch { u64* word; u64 first; u64 rounds; };
}
using namespace lockstep::device;
LOCKSTEP_KERNEL(ping_pong) {
  for (u64 i = 0; i < launch.rounds; ++i) {
    while (loadAcquire(launch.word) != launch.first + 2 * i) relax();
    storeRelease(launch.word, launch.first + 2 * i + 1);
  }
})";

struct Launch {
  DevicePtr word;
  std::uint64_t first, rounds;
};
constexpr std::uint64_t kRounds = 200;

void sendFd(int socket, int fd) {
  char byte = 0;
  iovec data{&byte, 1};
  alignas(cmsghdr) char room[CMSG_SPACE(sizeof fd)] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = room;
  message.msg_controllen = sizeof room;
  cmsghdr* head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(sizeof fd);
  std::memcpy(CMSG_DATA(head), &fd, sizeof fd);
  EXPECT_EQ(::sendmsg(socket, &message, 0), 1);
}

Fd receiveFd(int socket) {
  char byte = 0;
  iovec data{&byte, 1};
  int fd = -1;
  alignas(cmsghdr) char room[CMSG_SPACE(sizeof fd)] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = room;
  message.msg_controllen = sizeof room;
  EXPECT_EQ(::recvmsg(socket, &message, MSG_CMSG_CLOEXEC), 1);
  if (cmsghdr* head = CMSG_FIRSTHDR(&message)) std::memcpy(&fd, CMSG_DATA(head), sizeof fd);
  return Fd(fd);
}

/// Two processes at the ends of a socket; `play` gets 0 or 1 and its end.
template <class Play>
void playTwo(Play play) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) ::alarm(60);
  Fd mine(ends[child == 0 ? 1 : 0]), theirs(ends[child == 0 ? 0 : 1]);
  theirs.reset();
  play(child == 0 ? 1 : 0, mine.get());
  if (child == 0) ::exit(::testing::Test::HasFailure() ? 1 : 0);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

void playPingPong(FakeGpu& gpu, int rank, DevicePtr word) {
  const FunctionHandle kernel = gpu.load(kPingPong, "ping_pong");
  const StreamHandle stream = gpu.makeStream();
  const Launch launch{word, static_cast<std::uint64_t>(rank), kRounds};
  ASSERT_OK(gpu.launch(kernel, launch, 1, stream));
  ASSERT_OK(gpu.streamSynchronize(stream));
}

TEST(FakeSharing, KernelsOfTwoProcessesMeetInMappedMemory) {
  if (!fresh("mapped")) return;
  playTwo([](int rank, int socket) {
    FakeGpu gpu(rank);
    AllocationHandle handle = 0;
    if (rank == 0) {
      AllocationProperties mine;
      mine.requestedHandleTypes = ShareableHandle::posixDescriptor;
      ASSERT_OK(gpu.memCreate(&handle, kBytes, &mine, 0));
      int fd = -1;
      ASSERT_OK(gpu.memExportToShareableHandle(&fd, handle, ShareableHandle::posixDescriptor, 0));
      const Fd exported(fd);
      sendFd(socket, fd);
    } else {
      const Fd received = receiveFd(socket);
      void* os = reinterpret_cast<void*>(std::intptr_t{received.get()});
      ASSERT_OK(gpu.memImportFromShareableHandle(&handle, os, ShareableHandle::posixDescriptor));
    }
    DevicePtr range = 0;
    AccessDescriptor access;
    access.location.id = rank;
    ASSERT_OK(gpu.memAddressReserve(&range, kBytes, 0, 0, 0));
    ASSERT_OK(gpu.memMap(range, kBytes, 0, handle, 0));
    ASSERT_OK(gpu.memSetAccess(range, kBytes, &access, 1));
    ASSERT_OK(gpu.memRelease(handle));
    if (rank == 0) {
      ASSERT_OK(gpu.streamWriteValue64(nullptr, range, 0, kStreamWriteValueDefault));
    }
    playPingPong(gpu, rank, range);
    if (rank == 1) {
      EXPECT_EQ(gpu.read<std::uint64_t>(range), 2 * kRounds);
    }
    ASSERT_OK(gpu.memUnmap(range, kBytes));
    ASSERT_OK(gpu.memAddressFree(range, kBytes));
  });
}

TEST(FakeSharing, KernelsOfTwoProcessesMeetInOpenedMemory) {
  if (!fresh("opened")) return;
  playTwo([](int rank, int socket) {
    FakeGpu gpu(rank);
    IpcMemoryHandle handle{};
    DevicePtr memory = 0;
    char done = 0;
    if (rank == 0) {
      memory = gpu.allocate(100);
      ASSERT_OK(gpu.streamWriteValue64(nullptr, memory, 0, kStreamWriteValueDefault));
      EXPECT_EQ(gpu.ipcGetMemHandle(&handle, memory + 8), Result::invalidValue);
      ASSERT_OK(gpu.ipcGetMemHandle(&handle, memory));
      DevicePtr again = 0;
      EXPECT_EQ(gpu.ipcOpenMemHandle(&again, handle, kIpcLazyEnablePeerAccess),
                Result::invalidContext);
      ASSERT_EQ(::send(socket, &handle, sizeof handle, 0), ssize_t{sizeof handle});
    } else {
      ASSERT_EQ(::recv(socket, &handle, sizeof handle, MSG_WAITALL), ssize_t{sizeof handle});
      ASSERT_OK(gpu.ipcOpenMemHandle(&memory, handle, kIpcLazyEnablePeerAccess));
      EXPECT_EQ(gpu.memFree(memory), Result::invalidValue);
    }
    playPingPong(gpu, rank, memory);
    if (rank == 0) return (void)::recv(socket, &done, 1, MSG_WAITALL);
    EXPECT_EQ(gpu.read<std::uint64_t>(memory), 2 * kRounds);
    ASSERT_OK(gpu.ipcCloseMemHandle(memory));
    ::send(socket, &done, 1, 0);
  });
}

TEST(FakeSharing, ADeviceSeesOnlyWhatItWasGivenAccessTo) {
  if (!hasProtectionKeys()) GTEST_SKIP() << "this processor or kernel has no protection keys";
  if (!fresh("others", kNoCrashHandlers, -SIGSEGV)) return;
  FakeGpu other(1);
  const DevicePtr word = other.allocate(8);
  FakeGpu gpu(0);
  playPingPong(gpu, 0, word);
}

}  // namespace
}  // namespace lockstep::testing
