"""The baseline of motion forecasting without a network: everybody goes on as they went."""
