"""What every process needs to be a process: settings, bus, health, logs, traces, metrics."""
