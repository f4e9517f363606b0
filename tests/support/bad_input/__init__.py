"""What a peer may get wrong, and what the standard wants in answer: one table of rows, split by topic.

`table.ROWS` is all of it; the tests play it on a real socket, and docs/reference/bad-input.md is made of it.
"""
