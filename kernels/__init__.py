"""One op per file: public function, torch reference, Triton kernel; with compiled twins in csrc/."""
