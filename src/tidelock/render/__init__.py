"""Values to text or JSON. Pure: sorted, no clock, no terminal width."""
