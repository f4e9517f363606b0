"""A DIMSE peer that we call, as `dicomweb` is for HTTP: associations that are kept, and data sets on their way out."""
