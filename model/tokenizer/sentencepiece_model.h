#pragma once

#include <string>
#include <string_view>

#include "model/tokenizer/vocabulary.h"

// sentencepiece's model files, the one place of this room that knows protobuf.

namespace flux {

/// What the bytes of a spiece.model say. Throws Invalid naming `file`: bytes that are no such message from the first to
/// the last, or a model that Hugging Face's T5 tokenizer would read otherwise than sentencepiece.
Vocabulary read_sentencepiece_model(std::string_view bytes, const std::string& file);

/// A model that holds this and nothing else: what was checked is what sentencepiece loads. Hugging Face's unigram finds
/// the text of the unknown piece (where normalising makes it of other letters), as sentencepiece does not: it comes
/// once more, as a piece behind the others.
std::string sentencepiece_model(const Vocabulary& vocabulary);

/// The bytes of base64; not base64 is Invalid.
std::string from_base64(const std::string& text, const std::string& file);

}  // namespace flux
