"""SPDNet for EEG trials with an exchangeable batch normalisation: the loop behind gbw_rbn, bw_rbn, spdnet and spdnet_bn."""
