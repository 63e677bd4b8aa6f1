#include "runtime/interruption.h"

namespace flux {
namespace {

volatile std::sig_atomic_t noted = 0;  // all that a signal handler may touch

void note(int signal) { noted = signal; }

}  // namespace

Interruption::Interruption() {
  noted = 0;
  struct sigaction action{};
  action.sa_handler = note;
  sigaction(SIGTERM, &action, &before_term_);
  sigaction(SIGINT, &action, &before_int_);
}

Interruption::~Interruption() {
  sigaction(SIGTERM, &before_term_, nullptr);
  sigaction(SIGINT, &before_int_, nullptr);
}

int Interruption::signal() const { return noted; }

}  // namespace flux
