#pragma once

namespace flux {

/// Removes the files of /dev/shm that OpenMPI has mapped into this process: the launcher would, but it died.
void put_away_shared_memory() noexcept;

}  // namespace flux
