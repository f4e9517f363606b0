"""The gateways' admin API, as the operator uses it: the credential of each, and what each reports."""
