"""Delivering: takes what the spool owes to each destination and stores it there, at that destination's pace.

`outcome`, `attempt`, `line`, `pace`, `holding` and `backoff` are pure; a `transport` speaks a protocol (`stow` with its
`multipart` bodies); `worker` joins them for one destination; `deliverer` runs the workers.
"""
