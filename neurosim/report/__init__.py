"""Pages that show what runs did: one HTML file each, which needs neither a network nor other files."""
