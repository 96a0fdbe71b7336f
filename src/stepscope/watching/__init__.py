"""A whole run under watch: windows and samplers in, verdicts out as they become true."""
