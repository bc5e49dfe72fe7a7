"""HTTP and Socket.IO views of job records."""
