"""Delivering: takes what the spool owes to each destination and stores it there, at that destination's pace.

`outcome`, `store_status`, `attempt`, `line`, `pace`, `bandwidth`, `holding` and `backoff` are pure; a `transport`
speaks a protocol (`stow` with its `multipart` bodies over `http`); `worker` joins them for one destination; `deliverer`
runs the workers.
"""
