"""De-identifies data sets by PS3.15 annex E. Pure but for the file that is read and the table that is loaded.

Everything here fails closed: what is not understood is withheld, never passed.
"""
