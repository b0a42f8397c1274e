from .corpus import DocumentCorpus as DocumentCorpus
from .corpus import FileCorpus as FileCorpus
from .corpus import Progress as Progress
from .corpus import Source as Source
from .ledger import Ledger as Ledger
from .ledger import LineSplit as LineSplit
from .phrases import Phrases as Phrases
from .reading import Reading as Reading
