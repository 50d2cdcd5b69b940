"""Pure: text and values in, values out. Only the standard library and the SQL parser may be imported here."""
