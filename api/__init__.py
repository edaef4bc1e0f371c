"""metseg over HTTP: what a request carries is segmented as `metseg segment` would do it."""
