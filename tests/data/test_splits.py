"""The splits: fields stay whole, every modality keeps its shares, the seed decides."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanonuclei.config.shared import SplitConfig
from nanonuclei.data.catalog import SPLITS
from nanonuclei.data.splits import split_by_field
from nanonuclei.errors import DataError

SHARES = SplitConfig(train=0.7, val=0.1, test=0.2)

some_shares = st.tuples(*[st.integers(1, 10)] * 3).map(
    lambda parts: SplitConfig(train=parts[0] / sum(parts), val=parts[1] / sum(parts), test=parts[2] / sum(parts))
)
field_sizes = st.dictionaries(
    st.sampled_from(["fluorescence", "stained", "brightfield"]),
    st.lists(st.integers(1, 4), min_size=3, max_size=30),
    min_size=1,
)


def spread(sizes):
    """Field and modality of each image from the sizes of the fields of each modality."""
    fields, modalities = [], []
    for modality, counts in sizes.items():
        for count in counts:
            fields += [len(set(fields))] * count
            modalities += [modality] * count
    return fields, modalities


def splits_of_fields(fields, splits):
    seen = defaultdict(set)
    for field, split in zip(fields, splits, strict=True):
        seen[field].add(split)
    return seen


def images_by_split(modalities, splits, modality):
    return Counter(split for name, split in zip(modalities, splits, strict=True) if name == modality)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.sampled_from("ab")), min_size=1), some_shares, st.integers(0, 2**31))
def test_no_field_crosses_splits_and_all_images_are_dealt(images, shares, seed):
    fields = [0, 1, 2] + [field for field, _ in images]
    modalities = ["a", "a", "a"] + [modality for _, modality in images]

    splits = split_by_field(fields, modalities, shares=shares, seed=seed)

    assert all(len(seen) == 1 for seen in splits_of_fields(fields, splits).values())
    assert set(splits) <= set(SPLITS)


@settings(deadline=None)
@given(field_sizes, some_shares, st.integers(0, 2**31))
def test_every_split_has_a_field_of_each_modality_and_its_share_within_a_field(sizes, shares, seed):
    fields, modalities = spread(sizes)

    splits = split_by_field(fields, modalities, shares=shares, seed=seed)

    for modality, counts in sizes.items():
        got = images_by_split(modalities, splits, modality)
        assert set(got) == set(SPLITS)
        surplus = {split: got[split] - getattr(shares, split) * sum(counts) for split in SPLITS}
        smallest_share = min(shares.train, shares.val, shares.test) * sum(counts)
        if smallest_share >= 4:
            assert max(map(abs, surplus.values())) <= 4


@settings(deadline=None, max_examples=30)
@given(st.integers(10, 60).map(lambda tens: 10 * (tens // 10)), st.integers(0, 2**31))
def test_shares_are_exact_where_fields_are_single_images(num_images, seed):
    splits = split_by_field(range(num_images), ["a"] * num_images, shares=SHARES, seed=seed)

    tenth = num_images // 10
    assert Counter(splits) == {"train": 7 * tenth, "val": tenth, "test": 2 * tenth}


@settings(deadline=None)
@given(field_sizes, st.integers(0, 2**31), st.randoms(use_true_random=False))
def test_the_numbers_of_the_fields_do_not_matter(sizes, seed, random):
    fields, modalities = spread(sizes)
    numbers = list(range(1000, 1000 + len(set(fields))))
    random.shuffle(numbers)

    splits = split_by_field(fields, modalities, shares=SHARES, seed=seed)

    assert split_by_field([numbers[field] for field in fields], modalities, shares=SHARES, seed=seed) == splits
    assert split_by_field(np.array(fields), modalities, shares=SHARES, seed=seed) == splits


def test_one_seed_gives_one_split_and_other_seeds_other_splits():
    fields, modalities = spread({"fluorescence": [4, 1, 2] * 10, "stained": [4, 4, 1] * 3})
    drawn = [tuple(split_by_field(fields, modalities, shares=SHARES, seed=seed)) for seed in range(20)]

    assert tuple(split_by_field(fields, modalities, shares=SHARES, seed=0)) == drawn[0]
    assert len(set(drawn)) == 20


def test_large_fields_come_to_every_split():
    """Dealing the largest first would always train on them and never test."""
    fields, modalities = spread({"fluorescence": [6] + [1] * 60})
    homes = Counter(split_by_field(fields, modalities, shares=SHARES, seed=seed)[0] for seed in range(60))

    assert set(homes) == set(SPLITS)


def test_other_modalities_do_not_change_the_split_of_one():
    fields, modalities = spread({"stained": [4, 2, 1] * 4})
    more, more_modalities = spread({"stained": [4, 2, 1] * 4, "brightfield": [1] * 9})

    alone = split_by_field(fields, modalities, shares=SHARES, seed=3)

    assert split_by_field(more, more_modalities, shares=SHARES, seed=3)[: len(alone)] == alone


def test_the_majority_of_its_images_names_the_modality_of_a_field():
    fields = [0, 0, 0, 1, 1, 2, 2, 3, 4, 5]
    modalities = ["b", "a", "a", "a", "a", "a", "a", "b", "b", "b"]

    splits = split_by_field(fields, modalities, shares=SHARES, seed=0)

    assert {splits[0], splits[3], splits[5]} == set(SPLITS)
    assert set(splits[7:]) == set(SPLITS)


def test_three_fields_of_three_modalities_still_fill_every_split():
    assert set(split_by_field([0, 1, 2], ["a", "b", "c"], shares=SHARES, seed=0)) == set(SPLITS)


def test_a_modality_of_one_field_joins_the_largest_split():
    fields, modalities = spread({"fluorescence": [1] * 20, "brightfield": [4]})

    assert split_by_field(fields, modalities, shares=SHARES, seed=5)[-1] == "train"


@pytest.mark.parametrize(("fields", "named"), [([], "0 images of 0 fields"), ([0, 0, 1, 1], "4 images of 2 fields")])
def test_fewer_than_three_fields_are_refused(fields, named):
    with pytest.raises(DataError, match="at least 3") as caught:
        split_by_field(fields, ["a"] * len(fields), shares=SHARES, seed=0)

    assert named in str(caught.value)


def test_a_modality_per_image_is_needed():
    with pytest.raises(DataError, match="3 fields and 2 modalities"):
        split_by_field([0, 1, 2], ["a", "b"], shares=SHARES, seed=0)
