"""How dates are written in pages that Django makes, where its own way is longer than a table's column."""
