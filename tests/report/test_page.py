"""The page of a study, in a browser."""

import json
import shutil

import pytest
from support import browsing, standings
from support.captions import assert_captioned
from support.shards import forget
from support.studies import DENSITIES
from support.tiers import quick

from lth_jax import report
from lth_jax.analysis.verdict import as_json
from lth_jax.config import Claim, VerdictConfig
from lth_jax.report.material import gather
from lth_jax.report.page import study_page
from lth_jax.report.panels import sections
from lth_jax.store import records
from lth_jax.store.files import write_sealed
from lth_jax.store.workdir import Workdir

MINUS = "\N{MINUS SIGN}"
NAMES = {"ticket": "ticket", "reinit": "reinit", "shuffle": "shuffle"}
BACKGROUND = "getComputedStyle(document.body).backgroundColor"


@pytest.fixture(scope="module", params=quick("smoke", of=["smoke", "mnist1d", "lenet"]))
def study(request):
    return request.getfixturevalue(f"{request.param}_study")


@pytest.fixture
def verdict(study):
    return json.loads(study.files.verdict.read_text())


@pytest.fixture
def page(study, visit):
    return visit(study.files.page).page


@pytest.fixture
def tiny(tiny_study, tmp_path):
    """A copy of the tiny study, to be damaged; it has no report yet."""
    shutil.copytree(tiny_study.root, tmp_path / "tiny")
    return Workdir(tmp_path / "tiny")


# What the page shows, from the numbers of verdict.json.


def percent(density):
    return f"{density * 100:.3g}%"


def plus_minus(estimate, scale, digits):
    value = f"{estimate['value'] * scale:,.{digits}f}"
    if estimate["low"] is None:
        return value
    sides = [abs(estimate["value"] - estimate[end]) for end in ("low", "high")]
    if max(sides) > 4 / 3 * min(sides):
        low, high = (f"{estimate[end] * scale:,.{digits}f}" for end in ("low", "high"))
        return f"{value} [{low}, {high}]"
    return f"{value} ± {max(sides) * scale:,.{digits}f}"


def ends(text):
    """The interval alone of a value that is shown with it."""
    return text[text.index("[") :] if "[" in text else ""


def bare(estimate):
    if estimate["low"] is None:
        return ""
    return f"[{100 * estimate['low']:.2f}, {100 * estimate['high']:.2f}]"


def accuracy(estimate):
    return plus_minus(estimate, 100, 2)


def steps(estimate):
    return plus_minus(estimate, 1, 0)


def points(estimate):
    def signed(x):
        digits = f"{abs(x) * 100:.2f}"
        sign = "" if float(digits) == 0 else "+" if x > 0 else MINUS
        return sign + digits

    value, low, high = (estimate[key] for key in ("value", "low", "high"))
    if value is None:
        return ""
    return signed(value) + ("" if low is None else f" [{signed(low)}, {signed(high)}]")


def times(estimate):
    value, low, high = (estimate[key] for key in ("value", "low", "high"))
    return f"{value:.2f}" + ("" if low is None else f" [{low:.2f}, {high:.2f}]")


def with_small(text, below):
    return f"{text} {below}".strip()


def answer(finding):
    if finding["answer"] != "undecided" or finding["replicates"] is None:
        return finding["answer"]
    number = finding["replicates"]
    told = f"about {number:,}" if number < 10_000 else "more than 10,000"
    return f"undecided: {told} replicates would tell"


def winning(level):
    reasons = {
        "less accurate than dense": level["matches_dense"],
        "not better than reinit": level["beats_reinit"],
        "learns more slowly": level["as_fast_as_dense"],
    }
    why = [told for told, finding in reasons.items() if finding["answer"] == "no"]
    if level["winning"]["answer"] == "no":
        return f"no: {', '.join(why)}"
    return answer(level["winning"])


def the_only(items, **fields):
    (found,) = (x for x in items if all(x[key] == fields[key] for key in fields))
    return found


def expected_table(verdict):
    """The table of levels: head and rows."""
    controls = [arm for arm in NAMES if arm != "ticket"]
    head = ["kept", "weights", "winning ticket", "matches dense", "ticket, % accuracy"]
    head += ["ticket minus dense"]
    head += [f"ticket minus {NAMES[arm]}" for arm in controls]
    with_speed = not verdict["is_budget_short"]
    head += ["early-stop step", *["speed-up"] * with_speed]
    dense = verdict["summaries"][0]
    reached = accuracy(dense["early_stop_accuracy"]), bare(dense["early_stop_two_way"])
    first = [
        "100% (dense)",
        f"{dense['weights_left']:,}",
        "",
        "",
        with_small(*reached),
        "",
    ]
    first += [*[""] * len(controls), steps(dense["early_stop_step"]), *[""] * with_speed]
    table = [head, first]
    for level in verdict["levels"]:
        at = {"arm": "ticket", "level": level["level"]}
        ticket = the_only(verdict["summaries"], **at)
        against = {
            reference: the_only(verdict["comparisons"], **at, reference=reference)
            for reference in ("dense", *controls)
        }
        table.append(
            [
                percent(level["density"]),
                f"{level['weights_left']:,}",
                winning(level),
                answer(level["matches_dense"]),
                with_small(
                    accuracy(ticket["early_stop_accuracy"]),
                    bare(ticket["early_stop_two_way"]),
                ),
                with_small(
                    points(against["dense"]["early_stop_difference"]),
                    ends(points(against["dense"]["early_stop_two_way"])),
                ),
                *(points(against[arm]["early_stop_difference"]) for arm in controls),
                steps(ticket["early_stop_step"]),
                *[times(against["dense"]["speedup"])] * with_speed,
            ]
        )
    return table


def expected_tips(verdict):
    """By figure and level, the lines of the tip."""
    measures = {
        "accuracy_at_early_stop": ("early_stop_accuracy", accuracy),
        "early_stop_step": ("early_stop_step", steps),
        "accuracy_at_the_end": ("final_accuracy", accuracy),
        "training_accuracy_at_the_end": ("final_train_accuracy", accuracy),
        "difference_at_early_stop": ("early_stop_difference", points),
        "difference_at_the_end": ("final_difference", points),
    }
    tips = {}
    for figure, (measure, show) in measures.items():
        is_difference = measure.endswith("difference")
        for level in [
            *([] if is_difference else [0]),
            *range(1, 1 + num_levels(verdict)),
        ]:
            lines = []
            for arm, name in NAMES.items():
                if is_difference:
                    found = the_only(
                        verdict["comparisons"], arm=arm, level=level, reference="dense"
                    )
                else:
                    which = {"arm": arm if level else "ticket", "level": level}
                    found = the_only(verdict["summaries"], **which)
                lines.append([name, show(found[measure])])
            if level:
                dense = the_only(verdict["summaries"], arm="ticket", level=0)
                field = measure.replace("difference", "accuracy")
                is_steps = measure == "early_stop_step"
                shown = steps(dense[field]) if is_steps else accuracy(dense[field])
                lines.append(["dense net", shown])
            density = the_only(verdict["summaries"], arm="ticket", level=level)["density"]
            heading = f"level {level}: {percent(density)} of the weights"
            tips[figure, level] = heading, lines
    return tips


def num_levels(verdict):
    return len(verdict["levels"])


# A whole study.


def test_it_needs_no_other_file_and_complains_of_nothing(study, visit, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    alone = tmp_path / "elsewhere" / "page.html"
    shutil.copy(study.files.page, alone)
    found = visit(alone)
    found.page.wait_for_load_state("networkidle")
    assert found.requests == []
    assert found.complaints == []
    assert found.page.locator("figure svg").count() > 0
    assert alone.stat().st_size < 3e6


def test_every_figure_is_drawn_and_is_a_file_too(study, page):
    boxes = page.evaluate(
        "[...document.querySelectorAll('figure')].map(figure => "
        "[figure.id, figure.querySelectorAll('svg').length,"
        " figure.querySelector('svg').getBoundingClientRect()])"
    )
    for name, count, box in boxes:
        assert count == 1, name
        assert box["width"] > 150, name
        assert box["height"] > 100, name
    for suffix, magic in ((".png", b"\x89PNG"), (".pdf", b"%PDF")):
        files = [p for p in study.files.figures.iterdir() if p.suffix == suffix]
        assert sorted(p.stem for p in files) == sorted(name for name, *_ in boxes)
        assert all(p.read_bytes().startswith(magic) for p in files)


def test_every_figure_has_a_caption_and_every_caption_a_figure(study, page):
    assert_captioned(sections(gather(study.files, None)))
    captions = page.evaluate(
        "[...document.querySelectorAll('.lead')].map(lead => [lead.textContent,"
        " lead.parentElement.querySelectorAll('figure').length])"
    )
    assert all(text.strip() and count for text, count in captions)
    assert sum(count for _, count in captions) == page.locator("figure").count()
    assert page.locator("figure:not([aria-label]), figure[aria-label='']").count() == 0


def test_ids_are_unique_and_what_is_referred_to_is_there(page):
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(x => x.id)")
    assert len(set(ids)) == len(ids)
    referred = page.evaluate(
        r"""() => {
          const found = [];
          for (const element of document.querySelectorAll("svg, svg *"))
            for (const {value} of element.attributes)
              for (const [, a, b] of value.matchAll(/url\(#([^)]+)\)|^#([\w-]+)$/g))
                found.push(a ?? b);
          return found;
        }"""
    )
    assert set(referred) <= set(ids)
    assert referred


def test_the_table_has_the_numbers_of_the_verdict(page, verdict):
    assert browsing.rows(page, "#levels") == expected_table(verdict)
    kinds = page.evaluate(
        "[...document.querySelectorAll('#levels td[class]')]"
        ".map(cell => [cell.className, cell.textContent])"
    )
    assert len(kinds) == 2 * num_levels(verdict)
    for kind, text in kinds:
        assert text.split(":")[0] == kind


def test_the_page_holds_the_verdict_as_data(page, verdict):
    assert json.loads(page.locator("#verdict").text_content()) == verdict


def test_the_sentences_have_the_numbers_of_the_verdict(page, study, verdict):
    sentences = browsing.texts(page, ".verdict li")
    answers, whole = verdict["answers"], " ".join(sentences)
    assert points(answers["best"]["estimate"]) in whole
    assert f"most accurate at {percent(answers['best']['density'])}:" in whole
    if verdict["is_budget_short"]:
        assert answers["fastest"] is None
        assert "fastest is left open" in whole and " times sooner" not in whole
    else:
        assert f"fastest at {percent(answers['fastest']['density'])}:" in whole
        assert f"comes {times(answers['fastest']['estimate'])} times sooner" in whole
    if (anew := answers["best"]["two_way"])["low"] is not None:
        assert f"; {ends(points(anew))} if test examples vary too" in whole
    if (place := answers["sparsest_matching"]) is not None:
        assert f" keeps {percent(place['density'])} of the weights." in whole
    assert ("here are winning tickets" in whole) == bool(answers["winning"])
    printed = " ".join(study.printed.split())
    assert " ".join(sentences) in printed


def test_it_says_what_ran(page, study, verdict):
    assert page.locator("#command").text_content() == study.command
    facts = page.locator(".facts").text_content()
    dense = the_only(verdict["summaries"], level=0)
    assert f"{dense['weights_left']:,} weights" in facts
    assert f"{verdict['num_replicates']} replicates" in facts
    assert f"dense and {num_levels(verdict)} pruned levels" in facts
    assert f"{accuracy(dense['early_stop_accuracy'])}%" in facts
    assert page.locator(".note").count() == 0
    page.locator("summary", has_text="Config").click()
    assert page.get_by_role("row", name="num_replicates").is_visible()


@pytest.mark.parametrize("arm", NAMES)
def test_the_legend_hides_and_shows_an_arm_everywhere(arm, page):
    def visible(key):
        return page.evaluate(
            "key => [...document.querySelectorAll(`[data-series=${key}]`)]"
            ".map(x => getComputedStyle(x).display !== 'none')",
            key,
        )

    def figures_that_show(key):
        return page.locator("figure", has=page.locator(f"[data-series={key}]")).count()

    button = page.locator(f".legend [data-key={arm}]")
    assert button.text_content() == NAMES[arm]
    assert all(visible(arm))
    assert len(visible(arm)) > 20
    # Beside every figure of arms there is one of the dense net, which always stays.
    assert figures_that_show(arm) == figures_that_show("reference") > 6
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert not any(visible(arm))
    assert all(all(visible(other)) for other in {*NAMES, "reference"} - {arm})
    button.press("Enter")
    assert button.get_attribute("aria-pressed") == "true"
    assert all(visible(arm))


def test_hovering_over_a_level_tells_its_numbers(page, verdict):
    tip = page.locator("#tip")
    tips = expected_tips(verdict)
    found = page.evaluate(
        "[...document.querySelectorAll('[data-level]')]"
        ".map(x => [x.closest('figure').id, Number(x.dataset.level)])"
    )
    assert sorted(map(tuple, found)) == sorted(tips)
    assert tip.is_hidden()
    for (figure, level), (heading, lines) in tips.items():
        page.locator(f"#{figure} [data-level='{level}']").hover()
        assert tip.is_visible()
        assert tip.locator("b").text_content() == heading
        assert [
            line.locator("i").all_text_contents() for line in tip.locator("span").all()
        ] == lines
    page.locator("h1").hover()
    assert tip.is_hidden()
    page.locator(".legend [data-key=reinit]").click()
    page.locator(f"#{figure} [data-level='{level}']").hover()
    assert tip.locator("span").count() == len(NAMES)  # less one, and the dense net
    assert "reinit" not in tip.text_content()


@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_a_phone_and_a_desk(width, study, visit):
    page = visit(study.files.page, viewport={"width": width, "height": 800}).page
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    # The tip stays within the window too, wherever it is.
    for zone in page.locator("#accuracy_at_early_stop [data-level]").all():
        zone.hover()
        box = page.locator("#tip").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width


def test_it_can_be_read_by_day_and_by_night(page):
    backgrounds = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        backgrounds.append(page.evaluate(BACKGROUND))
        least, text = browsing.contrasts(page)[0]
        assert least > 3, f"{text!r} by {scheme}"
    assert backgrounds[0] == "rgb(255, 255, 255)"
    assert max(map(int, backgrounds[1].removeprefix("rgb(")[:-1].split(","))) < 50


def test_on_paper_it_is_day_and_there_is_nothing_to_click(page):
    assert page.locator(".legend").is_visible()
    page.locator("#accuracy_at_early_stop [data-level='1']").hover()
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate(BACKGROUND) == "rgb(255, 255, 255)"
    assert page.locator(".legend").is_hidden()
    assert page.locator("#tip").is_hidden()
    assert page.locator("#accuracy_at_early_stop svg").is_visible()


# Parts of a study, and odd ones.


def write_page(files, settings=None):
    """Writes the page alone; returns its path and the verdict as data."""
    material = gather(files, settings)
    files.page.write_text(study_page(material, sections(material)))
    return files.page, json.loads(json.dumps(as_json(material.verdict)))


def test_a_study_that_is_under_way_says_so(tiny, visit):
    forget(tiny, "level_02-shuffle")
    report.write(tiny)
    found = visit(tiny.page)
    note = "Partial: 6 of 7 arms and levels are finished."
    assert browsing.texts(found.page, ".note")[0].startswith(note)
    head, *rows = browsing.rows(found.page, "#levels")
    column = head.index("ticket minus shuffle")
    assert rows[1][column]
    assert rows[2][column] == ""
    assert found.complaints == []

    forget(tiny, "level_02-*")
    found = visit(write_page(tiny)[0])
    note = "Partial: 4 of 7 arms and levels are finished."
    assert browsing.texts(found.page, ".note")[0].startswith(note)
    assert len(browsing.rows(found.page, "#levels")) == 1 + 2


def test_criteria_stand_side_by_side(tiny, visit):
    """Numbers are made up: `support.standings` has the truth behind them."""
    config = json.loads(tiny.config.read_text())
    config["arms"] = list(dict.fromkeys(arm for arm, _ in standings.TRUTH))
    config["num_replicates"] = 40
    config["prune"]["densities"] = DENSITIES[1:3]
    write_sealed(tiny.config, json.dumps(config).encode())
    forget(tiny, "level_01-*")
    forget(tiny, "level_02-*")
    groups = {}
    for run in standings.study(config["num_replicates"]):
        groups.setdefault((run.arm, run.level), []).append(run)
    for (arm, level), runs in groups.items():
        if level:
            records.write(records.path_of(tiny.records, arm, level), runs)
    dense = groups["ticket", 0]
    records.write(records.path_of(tiny.records, "ticket", 0), dense)
    path, verdict = write_page(tiny)
    found = visit(path)
    head, *rows = browsing.rows(found.page, "#criteria")
    assert head == ["criterion", "looks at", "50%", "25%"]
    names = [s["arm"] for s in verdict["standings"]]
    ticket = f"{config['prune']['criterion']} (the ticket)"
    assert [row[0] for row in rows] == [ticket if n == "ticket" else n for n in names]
    for row, standing in zip(rows, verdict["standings"], strict=True):
        assert row[2:] == [accuracy(s["accuracy"]) for s in standing["scores"]]
    meaning = "tr:has(> th:text-is('small_final')) > td"
    fold = found.page.locator("details:has-text('What the criteria score')")
    assert fold.locator(meaning).text_content().startswith("-|w_f|")
    assert fold.locator("tr").count() == len(names)
    kinds = "#criteria tr:has-text('small_final') td.no"
    assert found.page.locator(kinds).count() == 2
    for name in names:
        figures = found.page.locator(f"#criterion_{name} svg")
        assert figures.count() == (name != "ticket")
    # Elsewhere are the ticket and its controls alone.
    assert browsing.texts(found.page, ".legend button") == ["ticket", "reinit"]
    assert found.complaints == []


def test_an_own_arm_stands_beside_the_others(tiny, visit, tmp_path, monkeypatch):
    (tmp_path / "page_arms.py").write_text(
        "from lth_jax.lottery.arms import Arm\n"
        'half = Arm(None, "half <b>", "half of the ticket", None)\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    for level in (1, 2):
        path = records.path_of(tiny.records, "shuffle", level)
        text = path.read_text().replace("shuffle,", "page_arms:half,")
        records.path_of(tiny.records, "page_arms:half", level).write_text(text)
    report.write(tiny)
    found = visit(tiny.page)
    page = found.page
    names = ["ticket", "reinit", "shuffle", "half <b>"]
    assert browsing.texts(page, ".legend button") == names
    assert "ticket minus half <b>" in browsing.rows(page, "#levels")[0]
    assert "half <b>, half of the ticket" in " ".join(browsing.texts(page, ".lead"))
    button = page.locator(".legend button", has_text="half <b>")
    drawn = page.locator(f"[data-series={button.get_attribute('data-key')}]")
    assert drawn.count() > 10
    strokes = page.evaluate(
        "[...document.querySelectorAll('#accuracy_at_early_stop [data-series]"
        " path[style*=stroke]')].map(path => getComputedStyle(path).stroke)"
    )
    assert len(set(strokes) - {"none"}) >= len(names)
    button.click()
    assert not any(line.is_visible() for line in drawn.all())
    assert found.complaints == []


def test_the_dense_net_alone_has_a_page(tiny, visit):
    forget(tiny, "level_01-*")
    forget(tiny, "level_02-*")
    found = visit(write_page(tiny)[0])
    assert browsing.texts(found.page, ".note")[0].startswith("Partial: 1 of 7")
    assert found.page.locator("#levels").count() == 0
    assert found.page.locator("figure svg").count() >= 4
    assert found.complaints == []


def test_a_note_on_the_data_stands_at_the_top(tiny, visit):
    environment = json.loads(tiny.environment.read_text())
    environment["data_note"] = "these data <i>are</i> odd"
    write_sealed(tiny.environment, json.dumps(environment).encode())
    page = visit(write_page(tiny)[0]).page
    assert browsing.texts(page, ".note") == ["these data <i>are</i> odd"]


def test_nothing_that_a_user_names_becomes_a_part_of_the_page(tiny, visit):
    name = "<script>alert(1);\"'&$x_^$<img src=q onerror=alert(2)>"
    root = tiny.root.rename(tiny.root.with_name(name))
    tiny = Workdir(root)
    environment = json.loads(tiny.environment.read_text())
    environment |= {
        "commit": "</script><script>alert(3)</script>",
        "command": ["x", "--workdir=</pre><img src=q onerror=alert(4)>"],
    }
    write_sealed(tiny.environment, json.dumps(environment).encode())
    found = visit(write_page(tiny)[0])
    assert found.page.title() == f"{name}: lottery tickets"
    assert found.page.locator("h1 .folder").text_content() == name
    assert found.page.locator("script").count() == 2
    assert found.complaints == []
    assert found.requests == []
    command = found.page.locator("#command").text_content()
    assert (
        command == "python -m lth_jax.main '--workdir=</pre><img src=q onerror=alert(4)>'"
    )


def test_claims_stand_beside_what_was_measured(tiny, visit):
    forget(tiny, "level_02-*")
    density = 0.8
    claims = (
        Claim(density, "accuracy", 0.003, -1.0, 1.0, "figure <4>"),
        Claim(density, "final_accuracy", 0.5, 0.0, None, "table 1", reference="none"),
        Claim(density, "speedup", 2.51, 900.0, 1000.0, "here", "reinit", "ticket"),
        Claim(density, "early_stop_step", 1234, None, 1, "there", reference="none"),
        Claim(0.01, "accuracy", -0.01, -0.02, 0.0, "nowhere"),
    )
    path, verdict = write_page(tiny, VerdictConfig(claims=claims))
    page, checks = visit(path).page, verdict["claims"]
    estimates = [check["estimate"] for check in checks]
    assert [row[:3] for row in browsing.rows(page, "#claims")[1:]] == [
        [
            "ticket at 80%: accuracy against dense (figure <4>)",
            f"+0.30 points ({MINUS}100.00 to +100.00)",
            f"{points(estimates[0])} points",
        ],
        [
            "ticket at 80%: final accuracy (table 1)",
            "50.00% (above 0.00)",
            f"{accuracy(estimates[1])}%",
        ],
        [
            "reinit at 80%: speed-up against ticket (here)",
            "2.51 (900.00 to 1000.00)",
            times(estimates[2]),
        ],
        [
            "ticket at 80%: early stop step (there)",
            "1,234 (below 1)",
            steps(estimates[3]),
        ],
        [
            "ticket at 1%: accuracy against dense (nowhere)",
            f"{MINUS}1.00 points ({MINUS}2.00 to 0.00)",
            "",
        ],
    ]
    answers = [row[3] for row in browsing.rows(page, "#claims")[1:]]
    assert answers == [check["answer"] for check in checks]
    assert answers[-1] == "not measured"
