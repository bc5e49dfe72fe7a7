"""The contract of plugins and front servers: sessions, polling, Socket.IO. A translation."""
