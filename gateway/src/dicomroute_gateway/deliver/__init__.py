"""Delivering: takes what the spool owes to each destination and stores it there, at that destination's pace.

`outcome`, `store_status`, `holding` and `backoff` are pure; `multipart` and `stow` speak HTTP; `worker` joins them
for one destination; `deliverer` runs the workers.
"""
