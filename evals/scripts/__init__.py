"""What a suite brings along, run where it can do little harm: JavaScript, Python, Ruby, patterns, JSON Schemas."""
