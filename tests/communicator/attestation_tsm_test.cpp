// Quotes from configfs-tsm, of which there is a likeness in ordinary files: no machine of ours has
// the real thing.
#include "communicator/attestation_tsm.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <lockstep/attestation.hpp>
#include <lockstep/error.hpp>

namespace lockstep::testing {
namespace {

using ::testing::HasSubstr;
using Bytes = std::vector<std::byte>;

class Tsm : public ::testing::Test {
 protected:
  Tsm() {
    std::string name = (std::filesystem::temp_directory_path() / "lockstep-tsm-XXXXXX").string();
    root_ = ::mkdtemp(name.data());
  }
  ~Tsm() override { std::filesystem::remove_all(root_); }

  /// A report as the kernel makes it, with what it would answer.
  std::string report(const std::string& answer) {
    std::ofstream(root_ / "inblob").flush();
    std::ofstream(root_ / "outblob") << answer;
    return root_.string();
  }
  std::string asked() {
    std::ifstream file(root_ / "inblob");
    return {std::istreambuf_iterator<char>(file), {}};
  }
  template <class Call>
  static void expectRefusal(ErrorCode code, const std::string& words, Call call) {
    try {
      call();
      ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      EXPECT_THAT(error.what(), HasSubstr(words));
    }
  }

  std::filesystem::path root_;
  const Bytes binding_ = Bytes(Attestation::kBindingBytes, std::byte{'b'});
};

TEST_F(Tsm, TheBindingGoesInAndTheQuoteComesOut) {
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{8000}, Attestation::kMaxQuoteBytes}) {
    const Bytes quote = tsm::quoteOfReport(report(std::string(bytes, 'q')), binding_);
    EXPECT_EQ(quote, Bytes(bytes, std::byte{'q'}));
    EXPECT_EQ(asked(), std::string(Attestation::kBindingBytes, 'b'));
  }
}

TEST_F(Tsm, QuotesOfNoBytesOrTooManyAreRefused) {
  expectRefusal(ErrorCode::unsupported, "has no bytes",
                [&] { tsm::quoteOfReport(report(""), binding_); });
  expectRefusal(ErrorCode::unsupported, "has more bytes", [&] {
    tsm::quoteOfReport(report(std::string(Attestation::kMaxQuoteBytes + 1, 'q')), binding_);
  });
}

TEST_F(Tsm, AFolderThatIsNoReportIsRefusedAndNothingIsLeft) {
  expectRefusal(ErrorCode::unsupported, "inblob", [&] { tsm::quote(root_, binding_); });
  EXPECT_TRUE(std::filesystem::is_empty(root_));
}

TEST_F(Tsm, AMachineWithoutTheInterfaceSaysWhatIsMissing) {
  expectRefusal(ErrorCode::unsupported, "no confidential virtual machine",
                [&] { tsm::quote(root_ / "none", binding_); });
}

TEST_F(Tsm, BindingsThatDoNotFitAreInvalid) {
  for (const std::size_t bytes : {std::size_t{0}, Attestation::kBindingBytes + 1})
    expectRefusal(ErrorCode::invalidArgument, "1 to 64 bytes",
                  [&] { static_cast<void>(tsmQuote(Bytes(bytes))); });
}

}  // namespace
}  // namespace lockstep::testing
