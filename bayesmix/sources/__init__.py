"""L2: where rows come from; the only place that knows of chunks, threads, files and workers."""
