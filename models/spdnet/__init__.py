"""SPDNet for EEG trials and SPD matrices, with an exchangeable batch normalisation: gbw_rbn, bw_rbn, liebn_*, spdnet, spdnet_bn."""
