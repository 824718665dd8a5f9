"""Running an asset's lineage again, from its sources, to see whether the same comes of it: `reproduce`."""
