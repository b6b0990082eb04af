"""One self-contained HTML page of a result, or of several side by side. It needs the extra `report`."""
