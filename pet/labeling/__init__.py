"""What decides a label: votes, ensemble, calibration, selection and guards, arithmetic on [n, k] arrays alone."""
