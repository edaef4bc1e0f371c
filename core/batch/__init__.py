"""Many scans, one after another, into a folder of results: the work behind `metseg segment`, without any printing."""
