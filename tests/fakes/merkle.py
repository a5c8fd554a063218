"""The tree of RFC 9162 §2.1 word for word: slow, and nothing like the code under test."""

from hashlib import sha256


def leaf_of(number):
    """Return the leaf hash of an entry that is only a number."""
    return sha256(b"\x00" + str(number).encode()).digest()


def leaves_of(size):
    """Return the leaf hashes of a log of numbers."""
    return [leaf_of(number) for number in range(size)]


def mth(leaves):
    """Return MTH(D[n]). Source: RFC 9162 §2.1.1."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = _k(len(leaves))
    return sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(m, leaves):
    """Return PATH(m, D[n]). Source: RFC 9162 §2.1.3.1."""
    if len(leaves) == 1:
        return []
    k = _k(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def proof(m, leaves):
    """Return PROOF(m, D[n]) for 0 < m <= n. Source: RFC 9162 §2.1.4.1."""
    return _subproof(m, leaves, True)  # noqa: FBT003 - the RFC's `b`


def batch(known, leaves, low=0):
    """Return the batch path of a set of leaves, as docs/reference/bundle.md describes it."""
    high = low + len(leaves)
    if not any(low <= index < high for index in known):
        return [mth(leaves)] if leaves else []
    if len(leaves) == 1:
        return []
    k = _k(len(leaves))
    return [*batch(known, leaves[:k], low), *batch(known, leaves[k:], low + k)]


def reader_of(leaves, *, reads=None):
    """Return a `ReadHashes` over leaves in memory; what it is asked goes into `reads`."""

    def read(level, start, count):
        width = 256**level
        if reads is not None:
            reads.append((level, start, count))
        assert (start + count) * width <= len(leaves), "a subtree that is not complete is no hash"
        return [mth(leaves[k * width : (k + 1) * width]) for k in range(start, start + count)]

    return read


def _k(n):
    """Return the largest power of two smaller than n."""
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def _subproof(m, leaves, b):
    n = len(leaves)
    if m == n:
        return [] if b else [mth(leaves)]
    k = _k(n)
    if m <= k:
        return [*_subproof(m, leaves[:k], b), mth(leaves[k:])]
    return [*_subproof(m - k, leaves[k:], False), mth(leaves[:k])]  # noqa: FBT003 - as above
