"""What measures the engine: scripts that anyone can run, each printing ratios from one run."""
