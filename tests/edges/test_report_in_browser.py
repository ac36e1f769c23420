"""The report in a browser: nothing overflows on a telephone or a screen, and nothing is loaded.

A narrow window is silently widened to 500 pixels, so that pages are measured in frames of the
width that is meant. Needs Chromium (Debian: apt install chromium) and is skipped without.
"""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import bayesmix as bm

pytest.importorskip("matplotlib")
pytestmark = pytest.mark.slow

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDTHS = (390, 1280)
# A control for each: pages that overflow and that load must be seen to.
FAULTY = {
    "wide": '<!doctype html><body><div style="width:3000px">wide</div></body>',
    "loads": '<!doctype html><body><img src="http://127.0.0.1:9/no.png" alt=""></body>',
}
MEASURE = """
<!doctype html><html><body>
<script>
const frames = FRAMES, found = {};
function measured(frame) {
  const page = frame.contentDocument, root = page.documentElement;
  page.querySelectorAll("details").forEach((each) => { each.open = true; });
  // What is in a drawing is cut off at its edges, as ellipses of components are.
  const outside = [...page.querySelectorAll("body *")].filter((each) =>
    !each.closest(".scroll") && !each.closest("pre") && !each.closest("svg > *")
    && each.getBoundingClientRect().right > root.clientWidth + 0.5);
  return {
    width: root.clientWidth,
    scroll: root.scrollWidth,
    outside: outside.map((each) => each.tagName),
    images: [...page.images].map((each) => each.naturalWidth),
    narrow: [...page.images].map((each) => each.currentSrc !== each.src),
    loaded: frame.contentWindow.performance.getEntriesByType("resource")
      .map((each) => each.name).filter((name) => !name.startsWith("data:")),
  };
}
addEventListener("load", () => {
  document.querySelectorAll("iframe").forEach((frame) => {
    found[frame.title] = measured(frame);
  });
  document.body.innerHTML = "";
  const result = document.createElement("pre");
  result.id = "result";
  result.textContent = JSON.stringify(found);
  document.body.append(result);
});
for (const [title, src, width] of frames) {
  const frame = document.createElement("iframe");
  Object.assign(frame, {title, src});
  frame.style = `width:${width}px;height:900px;border:0`;
  document.body.append(frame);
}
</script>
</body></html>
"""


@pytest.fixture(scope="module")
def browser():
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no Chromium here (Debian: apt install chromium): reports are not looked at")
    return found


def searches():
    """Searches whose pages are wide: many columns, long names, many criteria, reasons."""
    faithful = bm.datasets.load_faithful()
    yield "bic", bm.select(faithful, range(1, 5)), faithful
    yield "elbo", bm.select(faithful, (1, 2, 3), ("full", "tied"), "elbo"), faithful
    rng = np.random.default_rng(0)
    rows = np.vstack([np.repeat(rng.normal(8, 1, (1, 7)), 9, axis=0), rng.normal(0, 1, (60, 7))])
    long = bm.datasets.load_faithful().iloc[:69, :0].reset_index(drop=True)
    for column in range(7):
        long[f"a_name_without_any_place_to_break_it_{column}" * 4] = rows[:, column]
    yield "long", bm.MixtureSearch(n_components=(1, 2, 3), random_state=0).fit(long), long


@pytest.fixture(scope="module")
def measured(browser, tmp_path_factory):
    """What the browser measured of every page at every width."""
    folder = tmp_path_factory.mktemp("browser")
    names = []
    for name, search, X in searches():
        search.report(folder / f"{name}.html", X)
        names.append(name)
    for name, text in FAULTY.items():
        (folder / f"{name}.html").write_text(text)
        names.append(name)
    frames = [(f"{name} {width}", f"{name}.html", width) for name in names for width in WIDTHS]
    (folder / "measure.html").write_text(MEASURE.replace("FRAMES", json.dumps(frames)))
    done = subprocess.run(
        [
            browser,
            *("--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"),
            *("--disable-background-networking", "--no-first-run", "--window-size=1400,1000"),
            *(f"--user-data-dir={folder / 'profile'}", "--dump-dom"),
            (folder / "measure.html").as_uri(),
        ],
        capture_output=True,
        text=True,
    )
    result = re.search(r'<pre id="result">(.*?)</pre>', done.stdout, re.DOTALL)
    assert result, done.stderr[-2000:]
    return json.loads(html.unescape(result[1]))


PAGES = ("bic", "elbo", "long")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("page", PAGES)
def test_nothing_overflows(measured, page, width):
    found = measured[f"{page} {width}"]
    assert width - 20 <= found["width"] <= width
    assert found["scroll"] == found["width"]
    assert found["outside"] == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_loaded(measured, page, width):
    assert measured[f"{page} {width}"]["loaded"] == []


@pytest.mark.parametrize("page", PAGES)
def test_figures_are_seen_and_a_telephone_gets_its_own(measured, page):
    for width in WIDTHS:
        found = measured[f"{page} {width}"]
        assert len(found["images"]) >= 2
        assert min(found["images"]) > 0
        assert set(found["narrow"]) == {width == 390}


def test_what_overflows_or_loads_is_noticed(measured):
    assert measured["wide 390"]["scroll"] >= 3000
    assert measured["wide 390"]["outside"] == ["DIV"]
    assert measured["loads 390"]["loaded"] == ["http://127.0.0.1:9/no.png"]


def test_reports_leave_nothing_beside_them(measured, tmp_path):
    search = bm.MixtureSearch(n_components=1).fit(bm.datasets.load_faithful())
    assert Path(search.report(tmp_path / "report.html")).parent == tmp_path
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]
