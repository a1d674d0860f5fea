"""What users write: elements, operators, and the rules of construction."""
