"""How samples were seen, other than exactly and completely: one file each."""
