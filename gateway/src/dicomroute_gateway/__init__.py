"""The gateway: receives instances over DIMSE, keeps them, and delivers them over DICOMweb.

Rooms, each replaceable whole: `configuration`, `dimse`, `rules`, `spool`, `deliver`, `admin`; `reception`
joins the first four for one instance, `service` joins all of them into one process.
"""

__version__ = "0.1.0"
