"""DIMSE: associations and messages, as acceptor and as requestor (PS3.7, PS3.8).

This room knows nothing of rules, spools or destinations: what it receives goes to a service of `services`, what it
sends comes out of a `DataSetSource`. `association` is the acceptor's side; `requestor` the other, with `failures` for
what can keep it from an answer. pynetdicom is a list of SOP classes here and never owns a socket.
"""
