#pragma once

#include <string>
#include <vector>

namespace flux {

/// Addresses of this host in digits, but for loopback and link-local ones.
std::vector<std::string> host_addresses();

/// Whether the host of these addresses is there: one that is answers at ssh's port, be it by refusing, and one that
/// lost its power or its cable does not. Where nothing can be asked, it is taken to be there: addresses that this host
/// has as well (of bridges that containers make) say nothing.
bool host_answers(const std::vector<std::string>& addresses);

}  // namespace flux
