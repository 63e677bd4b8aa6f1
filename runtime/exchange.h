#pragma once

#include "model/config.h"
#include "model/context_parallel.h"
#include "runtime/placement.h"

namespace flux {

/// How the ranks of a replica share attention, as --context-parallel says. Left open: ulysses where the ranks divide
/// the heads, are not joined by NVLink and are sent fewer bytes so: three or more, and six or more where keys and
/// values are rounded to 8 bits. Else gather, of which a block's products hide more. Throws Invalid.
Exchange exchange_of(const Placement& placement, const Replica& replica, const TransformerConfig& config);

}  // namespace flux
