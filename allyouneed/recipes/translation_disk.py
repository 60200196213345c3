"""Translation from text that memory does not hold: the training pairs are tokenised once, into files."""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from allyouneed.data.settings import ParallelSettings
from allyouneed.data.stored_pairs import Encode, Recipe, find_stamped, find_store, make_store
from allyouneed.data.stored_plan import padding_share
from allyouneed.data.streaming import find_parallel_files, thinned, training_bytes, validation_text
from allyouneed.data.subwords import Subwords
from allyouneed.errors import UserError
from allyouneed.tasks.translation import ENDS, Learning, StoredTranslationTask, Vocabulary

LARGE = 200 * 10**6  # bytes of training text; from here on `auto` is `disk`
VOCABULARY_PAIRS = 1_000_000  # subwords are learnt from at most so many pairs, evenly drawn
LONGEST = 1_000_000


def waits_on_disk(data: ParallelSettings) -> bool:
    """Whether the training pairs of these settings stay on disk."""
    if data.store == "auto":
        return data.path is not None and training_bytes(data.path, data.src, data.tgt) >= LARGE
    return data.store == "disk"


class DiskText:
    """The text of a run, of which memory holds the validation pairs alone."""

    def __init__(self, data: ParallelSettings, folder: Path):
        if data.path is None:
            raise UserError(
                "data.store=disk reads a folder of text files; give one with --data, or set data.store=memory"
            )
        self.files, self.notes = find_parallel_files(data.path, data.src, data.tgt), list[str]()
        self.val = validation_text(data.path, self.files)
        self.folder = Path(data.store_path).expanduser() if data.store_path else folder / "tokens"
        self.read: tuple[str, int] | None = None  # the digest of the training text and its number of pairs, when known

    def vocabulary(self, data: ParallelSettings) -> Vocabulary:
        """Subwords learnt from the training text, joint or one per side."""
        pairs = self._known()[1]
        step = -(-pairs // VOCABULARY_PAIRS)
        if step > 1:
            self.notes.append(f"the subwords are learnt from {-(-pairs // step):,} pairs, evenly drawn")
        source, target = (thinned(path, step) for path in self.files[:2])
        if data.joint:
            both = (line for side in (source, target) for line in side)
            joint = Subwords.train(both, data.subwords, data.vocab_size)
            return Vocabulary(joint, joint)
        return Vocabulary(*(Subwords.train(side, data.subwords, data.vocab_size) for side in (source, target)))

    def facts(self, vocabulary: Vocabulary) -> dict[str, Any]:
        """What is written of the data into the run. A text that is tokenised already, and unchanged, is not read."""
        self.read = self.read or find_stamped(self.folder, self.files.stamp(), digests(vocabulary))
        digest, pairs = self._known()
        whole = hashlib.sha256(json.dumps([digest, *self.val]).encode()).hexdigest()
        return {
            "train": pairs, "val": len(self.val.source), "sha256": whole,
            "source": self.files.source_language, "target": self.files.target_language,
        }  # fmt: skip

    def task(
        self, settings: Any, vocabulary: Vocabulary, learning: Learning, longest: int
    ) -> tuple[StoredTranslationTask, list[str]]:
        """The task on the tokens, which are made where they are not there, and what a person should know of them."""
        pieces = max(len(side) for side in vocabulary)
        recipe = Recipe(*self._known(), digests(vocabulary), min(longest, LONGEST), settings.data.max_sentences, pieces)
        encode: tuple[Encode, Encode] = (vocabulary.source.encode, vocabulary.target.encode)
        store = find_store(self.folder, recipe) or make_store(self.folder, recipe, self.files, encode, _say)
        task = StoredTranslationTask(store, self.val, vocabulary, learning, settings.decoding)
        return task, [*self.notes, *self._told(store, task, vocabulary, settings.data)]

    def _told(self, store: Any, task: Any, vocabulary: Vocabulary, data: ParallelSettings) -> list[str]:
        facts = store.manifest
        size = sum(facts["files"].values()) / 10**6
        notes = [f"{len(store) + facts['left_out']:,} training pairs, {len(self.val.source):,} for validation, "
                 f"{len(vocabulary.target):,} subwords",
                 f"their tokens stay on disk: {size:,.0f} MB in {store.folder}"]  # fmt: skip
        if data.subwords == "bpe":
            notes.append("BPE-dropout is off: tokens on disk are spelled once (data.store=memory spells them anew)")
        if facts["left_out"]:
            lines = ", ".join(map(str, facts["left_out_lines"])) + (", ..." if facts["left_out"] > 5 else "")
            notes.append(f"{facts['left_out']:,} pairs are empty or longer than {facts['recipe']['longest']} pieces and "
                         f"are left out: lines {lines}")  # fmt: skip
        cuts = task.pairs.cuts
        waste = padding_share(store.classes, cuts, ENDS)
        return [*notes, f"{len(cuts) - 1:,} batches an epoch, {waste:.1%} of their cells are padding"]

    def _known(self) -> tuple[str, int]:
        self.read = self.read or self.files.digest()
        return self.read


def digests(vocabulary: Vocabulary) -> tuple[str, ...]:
    """Of each side's tokenizer; the same before it is saved and after."""
    files = (json.loads(side.tokenizer.to_str()) for side in vocabulary)
    return tuple(hashlib.sha256(json.dumps(file, sort_keys=True).encode()).hexdigest() for file in files)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # it takes minutes, and before training there is no reporter yet
