"""Code that runs inside a sandbox: plain files, standard library only."""
