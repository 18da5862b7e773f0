// Everything public but communicators of GPUs (device.hpp).
#pragma once

#include <lockstep/attestation.hpp>
#include <lockstep/communicator.hpp>
#include <lockstep/error.hpp>
#include <lockstep/experts.hpp>
#include <lockstep/group.hpp>
#include <lockstep/types.hpp>
