"""What happens in the crystals: decays, gamma transport, energies and places."""
