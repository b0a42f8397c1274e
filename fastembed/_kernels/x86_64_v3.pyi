from fastembed._kernels.portable import *  # noqa: F403
