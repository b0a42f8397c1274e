from .model import Explanation as Explanation
from .recommender import Recommender as Recommender
