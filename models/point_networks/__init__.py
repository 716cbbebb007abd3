"""PointNet and DGCNN on clouds, bare or in a wrapper: the loop behind pointnet, fa_pointnet, tinvnn and their kin."""
