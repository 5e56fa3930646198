#!/usr/bin/env python3
"""What BERT's tokenizer does with each character, asked from the `tokenizers` package (0.23.3) one code
point at a time: its tables belong to several versions of Unicode, none of which an installed library must have.

    python3 tools/golden/bert_characters.py > src/text/bert_character_table.c
    tools/check-format --fix
"""

import sys
import unicodedata

import tokenizers
from tokenizers import normalizers, pre_tokenizers

clean = normalizers.BertNormalizer(True, False, False, False)
strip = normalizers.BertNormalizer(False, False, True, False)
canonical = normalizers.NFD()
words = pre_tokenizers.BertPreTokenizer()
OVERLAY, IOTA_BELOW = "\u0334", "\u0345"  # the lowest and the highest combining class, 1 and 240


def combining_class(character):
    """Python's, where the package knows the character as a combining one."""
    moves_back = canonical.normalize_str(IOTA_BELOW + character) != IOTA_BELOW + character
    lets_pass = canonical.normalize_str(character + OVERLAY) != character + OVERLAY
    return unicodedata.combining(character) if moves_back or lets_pass else 0


def describe(character):
    flags = []
    decomposed = canonical.normalize_str(character)
    pieces = len(words.pre_tokenize_str("a" + character + "b"))
    if clean.normalize_str(character) == "":
        flags.append("PRI_DROPPED")
    if pieces == 2:
        flags.append("PRI_SPACE")
    if pieces == 3:
        flags.append("PRI_PUNCTUATION")
    if decomposed == character and strip.normalize_str(character) == "":
        flags.append("PRI_MARK")
    if decomposed != character:
        flags.append("PRI_DECOMPOSES")
        return " | ".join(flags), 0
    return " | ".join(flags) or "0", combining_class(character)


def ranges():
    """Neighbours that behave alike, (first, last, flags, combining class), all others left out."""
    found = []
    for code in list(range(0xD800)) + list(range(0xE000, 0x110000)):
        kind = describe(chr(code))
        if kind == ("0", 0):
            continue
        if found and found[-1][1] == code - 1 and found[-1][2:] == kind:
            found[-1] = (found[-1][0], code, *kind)
        else:
            found.append((code, code, *kind))
    return found


def main():
    out = sys.stdout
    out.write("/* Made by tools/golden/bert_characters.py from the tokenizers package ")
    out.write(tokenizers.__version__ + ". */\n")
    out.write('#include "text/bert_characters.h"\n\n')
    out.write("const pri_character_range pri_bert_characters[] = {\n")
    found = ranges()
    for first, last, flags, combining in found:
        out.write(f"    {{{first:#x}, {last:#x}, {flags}, {combining}}},\n")
    out.write("};\nconst size_t pri_bert_character_count =\n")
    out.write("    sizeof pri_bert_characters / sizeof pri_bert_characters[0];\n")


main()
