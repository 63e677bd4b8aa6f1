#pragma once

#include <string>
#include <string_view>

#include "parallel/mailbox.h"

namespace flux {

/// What travels ahead of a message's tensors: its header, and their dtypes and shapes.
std::string sealed(const Parcel& parcel);

/// The parcel with its tensors allocated. Both sides are one program, so it is taken at its word.
Parcel opened(std::string_view envelope);

}  // namespace flux
