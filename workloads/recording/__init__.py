"""Recording a step of any torch model: what it multiplies, and all its other work."""
