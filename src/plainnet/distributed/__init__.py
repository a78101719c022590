"""Several machines: ranks that train one network together over MPI."""
