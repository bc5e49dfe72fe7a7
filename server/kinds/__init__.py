"""What the product does with sound: one module a job kind."""
