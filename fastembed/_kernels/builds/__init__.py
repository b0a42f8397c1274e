"""The kernels, compiled once per instruction set; `fastembed._kernels` picks the module for this CPU."""
