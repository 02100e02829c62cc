"""Writing a row only where what was read is still there: for many rows one command, which the server runs alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import chain
from typing import Any, TypeAlias

from featurestore.online.base import Row

__all__ = ["Change", "add", "in_full", "lost_changes", "swap"]

# Sets each row of which the value is still the one that was read, and returns the numbers of the others. The rows of
# which nothing was there come first. ARGV: how many these are, the lifetime in milliseconds or '', the new values, and
# the old ones of the remaining rows. `unpack` takes up to 8,000 values.
_SCRIPT = b"""
local absent, lifetime, n = tonumber(ARGV[1]), ARGV[2], #KEYS
local there = redis.call('MGET', unpack(KEYS))
local changed, args = {}, {}
for i = 1, n do
  if there[i] ~= (i > absent and ARGV[2 + n + i - absent]) then
    changed[#changed + 1] = i
  elseif lifetime ~= '' then
    redis.call('SET', KEYS[i], ARGV[2 + i], 'PX', lifetime)
  else
    args[#args + 1] = KEYS[i]
    args[#args + 1] = ARGV[2 + i]
  end
end
if #args > 0 then redis.call('MSET', unpack(args)) end
return changed
"""
_SHA = hashlib.sha1(_SCRIPT, usedforsecurity=False).hexdigest().encode()


Change: TypeAlias = tuple[bytes, bytes | None, bytes, bytes]
"""A row to be written: its key; what was read, and has to be there still; its new value; and what a caller brought, of
which that was made, to be merged again where something else is there. A tuple, as making one takes a tenth of the time
that a class takes, and there are millions."""


def add(rows: Sequence[Row]) -> tuple[Any, ...]:
    """Return the words of the command that writes rows if there is nothing yet of any of them, and says whether."""
    return ("MSETNX", *chain.from_iterable(rows))


def swap(changes: Sequence[Change], lifetime: bytes) -> tuple[Any, ...]:
    """Return the words of the command that makes changes; those without an old value come first.

    Args:
        changes: of keys that one command can name.
        lifetime: milliseconds, as text; empty for none.
    """
    old = [value for _, value, _, _ in changes if value is not None]
    if not old and not lifetime:
        # Rows that are all new are what a first materialization has: twice as quick without a script.
        return add([(key, new) for key, _, new, _ in changes])
    keys = [key for key, _, _, _ in changes]
    new = [value for _, _, value, _ in changes]
    return ("EVALSHA", _SHA, len(keys), *keys, len(keys) - len(old), lifetime, *new, *old)


def lost_changes(changes: Sequence[Change], reply: Any) -> Sequence[Change]:
    """Return the changes that were not made, given the reply to `swap`: something else was there."""
    if isinstance(reply, list):
        return [changes[number - 1] for number in reply]
    return () if reply else changes


def in_full(words: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the words of a command for a server that may not know the script by its name."""
    return ("EVAL", _SCRIPT, *words[2:]) if words[0] == "EVALSHA" else words
