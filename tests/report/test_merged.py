"""What the page of merged shards says of them."""

import html

from support.shards import forget, shard

from lth_jax.report.material import gather
from lth_jax.report.page import study_page
from lth_jax.store.workdir import Workdir


def page_of(*shards):
    material = gather(Workdir(shards[0].root.parent / "merged"), None, shards)
    return html.unescape(study_page(material, [])), material


def test_a_page_says_which_replicates_there_are_and_what_made_them(tiny_study, tmp_path):
    both = [shard(tiny_study, tmp_path / str(first), first) for first in (10, 12)]
    page, material = page_of(*both)
    assert '<span class="folder">merged</span></h1>' in page
    assert "· 4 replicates (10 to 13) · dense and 2 pruned levels ·" in page
    assert 'class="note"' not in page
    assert (material.num_groups, material.num_planned) == (7, 7)
    commands = page.partition('<pre id="command">')[2].partition("</pre>")[0]
    assert [x[:22] for x in commands.splitlines()] == ["python -m lth_jax.main"] * 2


def test_a_page_says_what_shards_lack(tiny_study, tmp_path):
    first, second = (shard(tiny_study, tmp_path / str(first), first) for first in (0, 3))
    forget(second, "level_02-reinit")
    page, material = page_of(first, second)
    assert "· 4 replicates (0 to 1, 3 to 4) ·" in page
    partial, *others = page.split('<p class="note">')[1:]
    assert partial.startswith("Partial: 6 of 7 arms and levels are finished.")
    assert [x.partition("</p>")[0] for x in others] == material.notes
    assert [x.num_replicates for x in material.verdict.summaries] == [4] * 6


def test_a_study_of_the_first_replicates_says_their_number_alone(tiny_study):
    page = study_page(gather(tiny_study, None), [])
    assert "· 2 replicates · dense and 2 pruned levels ·" in page
