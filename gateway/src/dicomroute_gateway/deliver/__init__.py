"""Delivering: takes what the spool owes to each destination and stores it there, at that destination's pace.

The scheduler is here, and knows no adapter: `deliverer` runs a `worker` for each destination, which asks a `transport`.
`outcome`, `attempt`, `judging` (with `health`, `suspects`, `pace`, `lanes`), `line`, `bandwidth`, `holding` and
`backoff` are pure. The adapters are in `cloud` (STOW-RS) and `node` (C-STORE).
"""
