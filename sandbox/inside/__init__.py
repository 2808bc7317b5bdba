"""What runs inside a sandbox: standard library only, copied into it as plain files."""
