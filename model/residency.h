#pragma once

namespace flux {

/// Where a component's layers lie between uses.
enum class Residency {
  resident,  // on the device
  streamed,  // in pinned memory of the host: two at a time are on the device, one in use while the next one arrives
};

}  // namespace flux
