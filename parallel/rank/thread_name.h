#pragma once

#include <string>

namespace flux {

/// Names the calling thread, for debuggers and for the last words of the process. Up to 15 characters.
void name_this_thread(const char* name);

/// "thread mpi" or "the main thread".
std::string this_thread();

}  // namespace flux
