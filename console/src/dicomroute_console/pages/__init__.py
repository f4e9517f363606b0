"""What the pages say. `model` is pure: from documents of gateways to what is shown; handlers ask and render."""
