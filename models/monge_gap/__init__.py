"""The Monge gap as a regulariser of transport maps (Uscidda and Cuturi, ICML 2023); the gap itself is in models/geometry/transport.py."""
