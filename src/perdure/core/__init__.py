"""What every layer may use: errors, ids, clocks, units, settings, ports, statistics. No I/O of its own."""
