"""The page for a browser: it reads what is uploaded, lets the HTTP API segment it, and shows what was found."""
