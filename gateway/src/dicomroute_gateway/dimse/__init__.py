"""DIMSE: accepts associations and turns C-STORE messages into streams of data set bytes (PS3.7, PS3.8).

This room knows nothing of rules, spools or destinations: what it receives goes into a `StorageService`.
pynetdicom serves as the codec of the A-ASSOCIATE items alone and never owns a socket.
"""
