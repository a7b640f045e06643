"""The endpoints, one module per resource. Each decodes, asks, and shows."""
