"""The edge: holds the clients' connections and delivers publications, on any transport."""
