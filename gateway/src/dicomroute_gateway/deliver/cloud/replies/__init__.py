"""What the answers of DICOMweb servers mean: the body (`result`), the codes by provider (`reasons`), the `decision`.

Pure: no clock, no socket, no file.
"""
