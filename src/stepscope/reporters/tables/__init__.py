"""Tables of facts, apart from any verdict."""
