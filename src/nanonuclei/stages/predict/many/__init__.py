"""The same on many machines, with Ray: blocks of images in, one shard of tables per block out."""
