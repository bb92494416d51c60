"""The loop: intake → observe → diagnose → decide → repair → verify → release. Names no kind of asset."""
