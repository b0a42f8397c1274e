"""What users take, learned from what they and others took: users as rows, items as columns."""
