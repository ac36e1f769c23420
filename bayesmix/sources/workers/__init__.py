"""Who works on partitions: threads of this process, or a Dask cluster."""
