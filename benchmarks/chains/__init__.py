"""Video chains that are compared: ours and stock aiortc, each of processes of its own."""
