// Confidential computing: which mode is on, what that means, and what looks like it and is not.
#include "topology/rules/evidence/confidential.hpp"

#include <fmt/format.h>

#include "topology/rules/evidence/peers.hpp"
#include "topology/rules/rule.hpp"

namespace lockstep::topology {
namespace {

constexpr const char* kSubject = "confidential computing";
/// Blackwell's encrypted NVLink (shared facts, section 1).
constexpr std::size_t kMostEncrypted = 8;

struct ModeWords {
  const char* what;
  const char* advice;
};

ModeWords wordsOf(Confidentiality mode) {
  switch (mode) {
    case Confidentiality::none:
      break;
    case Confidentiality::singleGpu:
      return {
          "is on for single GPUs (SPT): host copies go through an AES-GCM bounce buffer, NVLink "
          "is reported absent, and GPUs have no access to each other",
          "nothing to mend: GPUs exchange by way of the host, in ciphertext; for NVLink use "
          "protected PCIe (Hopper) or encrypted NVLink (Blackwell)"};
    case Confidentiality::unknownMultiGpu:
      return {
          "is on, and the driver is too old to say for how many GPUs: whether they reach each "
          "other, and whether their NVLinks are encrypted, is not known",
          "update the driver to one with nvmlSystemGetConfComputeSettings"};
    case Confidentiality::protectedPcie:
      return {
          "is on as protected PCIe (PPCIe), though NVML's ccFeature may read disabled: host "
          "copies go through an AES-GCM bounce buffer, NVLink carries plaintext",
          "nothing to mend: all GPUs and NVSwitches of the board must be in one virtual machine"};
    case Confidentiality::encryptedNvlink:
      return {
          "is on for several GPUs (NVLE): host copies go through an AES-GCM bounce buffer, "
          "NVLinks are encrypted, for 8 GPUs at most",
          "nothing to mend"};
  }
  return {};
}

void addMode(Confidentiality mode, std::vector<Problem>& problems) {
  if (mode == Confidentiality::none) return;
  const Severity severity =
      mode == Confidentiality::unknownMultiGpu ? Severity::warning : Severity::note;
  const ModeWords words = wordsOf(mode);
  problems.push_back({severity, {}, kSubject, words.what, words.advice});
}

/// What makes it less than it says.
void addWeaknesses(const ConfidentialComputing& cc, std::vector<Problem>& problems) {
  if (cc.devTools)
    problems.push_back({Severity::warning,
                        {},
                        kSubject,
                        "has developer tools on: they can read what is in the GPUs, so this is not "
                        "confidential",
                        "for production set the mode to on, not devtools (nvidia-smi conf-compute "
                        "-q shows it)"});
  // Under protected PCIe the environment reads unavailable where ccFeature reads disabled: both are
  // words about single GPUs.
  if (cc.feature && !cc.production)
    problems.push_back(
        {Severity::warning,
         {},
         kSubject,
         "is not in its production environment but a simulation, or in none: nothing "
         "is protected",
         "`nvidia-smi conf-compute -e` must say PRODUCTION"});
}

/// With the mode off.
void addLookalikes(const ConfidentialComputing& cc, std::vector<Problem>& problems) {
  if (cc.multiGpuKnown && cc.multiGpu == ConfidentialComputing::MultiGpu::nvle)
    problems.push_back({Severity::warning,
                        {},
                        kSubject,
                        "is off, although NVLinks are encrypted (NVLE): that alone does not make "
                        "the machine confidential",
                        "set ccFeature on too, if it is meant to be"});
  if (!cc.multiGpuKnown)
    problems.push_back({Severity::note,
                        {},
                        kSubject,
                        "reads off, but the driver is too old to say whether protected PCIe is on, "
                        "under which it reads off too",
                        "if this is meant to be a confidential virtual machine, update the driver "
                        "to one with nvmlSystemGetConfComputeSettings"});
}

void look(const Graph& graph, std::vector<Problem>& problems) {
  if (!graph.inventory().driver.confidential) return;
  const ConfidentialComputing& cc = *graph.inventory().driver.confidential;
  const Confidentiality mode = confidentiality(graph.inventory());
  addMode(mode, problems);
  if (mode == Confidentiality::none)
    addLookalikes(cc, problems);
  else
    addWeaknesses(cc, problems);
  const std::size_t gpus = knownGpus(graph).size();
  if (mode == Confidentiality::encryptedNvlink && gpus > kMostEncrypted)
    problems.push_back(
        {Severity::warning,
         {},
         kSubject,
         fmt::format("covers {} GPUs at most with encrypted NVLinks, and there are {}",
                     kMostEncrypted, gpus),
         "give the virtual machine no more than that"});
}

}  // namespace

extern const Rule kRulesConfidential{"confidential",
                                     "which mode of confidential computing is on, really", look};

}  // namespace lockstep::topology
