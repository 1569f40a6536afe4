"""The client without I/O: frames, losses and the time go in, effects come out."""
