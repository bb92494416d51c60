"""Runs over HTTP and in the background: begun, driven, parked for a person, taken over from the dead, told."""
