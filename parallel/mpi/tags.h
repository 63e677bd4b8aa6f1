#pragma once

namespace flux {

// On the control communicator.
constexpr int kNoticeTag = 0;
constexpr int kEnvelopeTag = 1;

// On the data communicator. Every group has a tag of its own, from kFirstGroupTag on.
constexpr int kMessageTag = 0;
constexpr int kFormingTag = 1;
constexpr int kWorldTag = 2;
constexpr int kLeavingTag = 3;
constexpr int kFirstGroupTag = 4;

}  // namespace flux
