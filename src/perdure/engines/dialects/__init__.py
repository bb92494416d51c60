"""The languages that providers speak, translated into one another. Pure: dictionaries and bytes in and out."""
