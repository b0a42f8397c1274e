from fastembed._kernels.builds.portable import *  # noqa: F403
