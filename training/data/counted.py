"""Numbers of things, in words that fit the number."""

import re

_REGULAR = ("file", "folder", "frame", "label", "line", "list", "shard", "subset", "video")
_NOUNS = {f"{noun}s": noun for noun in _REGULAR} | {"classes": "class"}
_VERBS = {"are": "is", "have": "has"}


def counted(count: int, what: str) -> str:
    """A number before what it is the number of: '7 videos are there', '1 video is there'.

    Args:
        count: the number.
        what: in the plural. For one, its first noun and its first verb of those above change; the
            verb alone where it begins with "of": '1 of 7 videos is there'.
    """
    if count == 1:
        for words in (_VERBS,) if what.startswith("of ") else (_NOUNS, _VERBS):
            found = rf"\b({'|'.join(words)})\b"
            what = re.sub(found, lambda match, words=words: words[match[0]], what, count=1)
    return f"{count:,} {what}"
