"""What fitted estimators answer: attributes, methods, tables, representations."""
