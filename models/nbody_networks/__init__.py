"""Networks on charged particles: the loop behind frame_averaging (FA-GNN), gnn and egnn."""
