"""The steps of the data room, as the factory runs them: a file for each."""

from loresmith.data.steps.curate import CURATE, CurateConfig
from loresmith.data.steps.extend_vocabulary import EXTEND_VOCABULARY, ExtendVocabularyConfig
from loresmith.data.steps.ingest import INGEST, IngestConfig
from loresmith.data.steps.ingest_dataset import INGEST_DATASET, IngestDatasetConfig
from loresmith.data.steps.ingest_git import INGEST_GIT, IngestGitConfig
from loresmith.data.steps.ingest_messages import INGEST_MESSAGES, IngestMessagesConfig
from loresmith.data.steps.ingest_query import INGEST_QUERY, IngestQueryConfig
from loresmith.data.steps.mix import MIX, MixConfig
from loresmith.data.steps.pack import PACK, PackConfig
from loresmith.data.steps.train_tokenizer import TRAIN_TOKENIZER, TrainTokenizerConfig

__all__ = [
    "CURATE",
    "EXTEND_VOCABULARY",
    "INGEST",
    "INGEST_DATASET",
    "INGEST_GIT",
    "INGEST_MESSAGES",
    "INGEST_QUERY",
    "MIX",
    "PACK",
    "TRAIN_TOKENIZER",
    "CurateConfig",
    "ExtendVocabularyConfig",
    "IngestConfig",
    "IngestDatasetConfig",
    "IngestGitConfig",
    "IngestMessagesConfig",
    "IngestQueryConfig",
    "MixConfig",
    "PackConfig",
    "TrainTokenizerConfig",
]
