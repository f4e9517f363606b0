"""UIDs for property tests (PS3.5 9.1)."""

from hypothesis import strategies as st

UIDS = (
    st.lists(st.integers(0, 10**12), min_size=1, max_size=12)
    .map(lambda components: ".".join(map(str, components)))
    .filter(lambda uid: len(uid) <= 64)
)
