"""The edge's decisions: pure functions and state machines. Frames, messages and the time go in, effects come out."""
