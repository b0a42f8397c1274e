from .vectors import Vectors as Vectors
