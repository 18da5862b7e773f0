#include "topology/readers/hwloc/cpus.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "topology/readers/hwloc/number_set.hpp"
#include "topology/readers/hwloc/objects.hpp"

namespace lockstep::topology::hwloc_xml {
namespace {

struct NumaNode {
  int number = 0;
  std::optional<NumberSet> cpus;  // nothing: it does not say
  pugi::xml_node object;
};

/// In NCCL's words (src/graph/topo.cc, kvDictCpuArch).
std::string archOf(std::string_view machine) {
  if (machine == "aarch64") return "arm64";
  if (machine.starts_with("ppc64")) return "ppc64";
  return std::string(machine);
}

std::optional<NumberSet> cpusOf(xml::Report& report, const pugi::xml_node& object) {
  const std::string_view text = object.attribute("cpuset").value();
  if (text.empty()) return std::nullopt;
  std::optional<NumberSet> set = NumberSet::parse(text);
  if (!set)
    report.remark(xml::offsetOf(object),
                  "cpuset \"{:.40}\" left out; a set of at most {} CPUs like "
                  "\"0x000000ff,0xffffffff\" was expected",
                  text, NumberSet::kMostNumbers);
  return set;
}

class CpuRows {
 public:
  CpuRows(xml::Report& report, const pugi::xml_node& machine)
      : report_(report), machine_(machine) {}

  std::vector<Cpu> all() {
    collect();
    std::sort(nodes_.begin(), nodes_.end(),
              [](const NumaNode& a, const NumaNode& b) { return a.number < b.number; });
    for (const NumaNode& node : nodes_)
      if (node.cpus) groups_ = std::max(groups_, node.cpus->groups());
    for (const NumaNode& node : nodes_)
      if (isCpu(node)) rows_.push_back(cpuOf(node));
    if (rows_.empty()) rows_.push_back(cpuOf({0, cpusOf(report_, machine_), machine_}));
    return std::move(rows_);
  }

 private:
  void collect() {
    for (pugi::xml_node at = machine_; at; at = next(machine_, at)) {
      const std::string_view type = typeOf(at);
      if (type == "Package" || type == "Socket") packages_.push_back(at);
      if (type == "NUMANode") collectNode(at);
    }
  }

  void collectNode(const pugi::xml_node& object) {
    const std::optional<int> number = numberOf(object, "os_index");
    if (!number || !numbers_.insert(*number).second) {
      report_.remark(xml::offsetOf(object),
                     "a NUMA node left out: a number of its own was expected in os_index");
      return;
    }
    if (nodes_.size() == Cpus::kMostNodes)
      report_.fail(xml::offsetOf(object), "more than {} NUMA nodes", Cpus::kMostNodes);
    nodes_.push_back({*number, cpusOf(report_, object), object});
  }

  /// Memory that has no CPUs (CXL, a GPU's), or is beside other memory of the same CPUs (HBM), is
  /// no CPU.
  bool isCpu(const NumaNode& node) {
    return !node.cpus || (!node.cpus->empty() && seen_.insert(*node.cpus).second);
  }

  Cpu cpuOf(const NumaNode& node) {
    const pugi::xml_node package = packageOf(node.object);
    Cpu cpu = factsOf(package ? package : (packages_.empty() ? machine_ : packages_.front()));
    cpu.numa = node.number;
    // Packages of one machine are alike; but a node that spans several is in none.
    cpu.package = package ? numberOf(package, "os_index").value_or(kNone) : kNone;
    if (node.cpus && !node.cpus->empty()) cpu.affinity = node.cpus->mask(groups_);
    return cpu;
  }

  /// What is the same for all nodes of a package; looked up once.
  const Cpu& factsOf(const pugi::xml_node& package) {
    const auto [known, isNew] = facts_.try_emplace(package.hash_value());
    Cpu& cpu = known->second;
    if (!isNew) return cpu;
    cpu.arch = archOf(infoOf(machine_, "Architecture"));
    cpu.vendor = infoOf(package, "CPUVendor");
    cpu.model = infoOf(package, "CPUModel");
    cpu.familyId = numberIn(infoOf(package, "CPUFamilyNumber")).value_or(kNone);
    cpu.modelId = numberIn(infoOf(package, "CPUModelNumber")).value_or(kNone);
    return cpu;
  }

  pugi::xml_node packageOf(pugi::xml_node object) const {
    if (packages_.size() == 1) return packages_.front();
    while (object && typeOf(object) != "Package" && typeOf(object) != "Socket")
      object = object.parent();
    return object;
  }

  xml::Report& report_;
  pugi::xml_node machine_;
  std::vector<NumaNode> nodes_;
  std::vector<pugi::xml_node> packages_;
  std::set<int> numbers_;
  std::set<NumberSet> seen_;
  std::size_t groups_ = 0;                      // of the widest mask
  std::unordered_map<std::size_t, Cpu> facts_;  // by hash_value() of packages
  std::vector<Cpu> rows_;
};

}  // namespace

Cpus::Cpus(const xml::Element& root, xml::Report& report, Inventory& inventory)
    : machine_(root.node().child("object")) {
  if (!machine_) report.fail(root.offset(), "<topology> has no <object type=\"Machine\">");
  inventory.cpus = CpuRows(report, machine_).all();
  for (std::size_t i = 0; i < inventory.cpus.size(); ++i)
    rows_.emplace(inventory.cpus[i].numa, static_cast<int>(i));
}

int Cpus::rowByNodeset(const pugi::xml_node& object) const {
  const std::optional<NumberSet> nodes = NumberSet::parse(object.attribute("nodeset").value());
  if (!nodes) return kNone;
  for (const int number : nodes->numbers())
    if (const auto row = rows_.find(number); row != rows_.end()) return row->second;
  return kNone;
}

int Cpus::near(const pugi::xml_node& object) {
  if (rows_.size() == 1) return 0;
  // What hangs below the whole machine may be near any of its nodes.
  if (!object || object == machine_ || typeOf(object).empty()) return kNone;
  const std::size_t key = object.hash_value();
  if (const auto known = near_.find(key); known != near_.end()) return known->second;
  int row = rowByNodeset(object);
  if (row == kNone) row = near(object.parent());  // at most xml::kDeepest times
  near_.emplace(key, row);
  return row;
}

}  // namespace lockstep::topology::hwloc_xml
