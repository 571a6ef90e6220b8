"""The page in a real browser: no error, nothing wider than a phone, every section there."""

import re
import shutil
import subprocess

import pytest

import kit
from kit.challenge.score import write_scores
from kit.report.page import report
from kit.report.sections import SECTIONS
from tests.companions.made import made
from tests.images.made_work import change_table, label, make_work

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PHONE = """<!doctype html><title>phone</title><iframe id="phone" src="{page}" style="border:0;width:390px;height:3000px"></iframe>
<pre id="found"></pre><script>
addEventListener("load", () => setTimeout(() => {{
  const page = document.getElementById("phone").contentDocument, width = page.documentElement.scrollWidth;
  const wide = [...page.querySelectorAll("body *")].filter(one => one.getBoundingClientRect().right > 391
    && !one.closest(".scroll, svg, details:not([open])")).map(one => one.tagName + "." + one.className);
  const charts = page.querySelectorAll(".chart svg").length;
  document.getElementById("found").textContent = JSON.stringify({{width, wide, charts}});
}}, 3000));
</script>"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here (apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """All sections on two plates of three wells, with a score."""
    pytest.importorskip("vl_convert", reason="charts need the extra report")
    folder = tmp_path_factory.mktemp("page")
    make_work(folder / "work", wells=3, sites=2)
    label(folder / "work", "P1", "P2")
    for plate in ("P1", "P2"):
        change_table(folder / "work", plate, lambda table: table.assign(Metadata_is_control=table["Metadata_Well"] == "A01"))
    write_scores(kit.score(made(compound=1.0)), folder / "score.json")
    return report(kit.open(folder / "work"), folder / "report.html")


def browse(address, folder, *options: str) -> tuple[str, list[str]]:
    """Return the page after its scripts ran, and what stood on the console."""
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr",
               "--allow-file-access-from-files", "--virtual-time-budget=10000", f"--user-data-dir={folder}",
               *options, "--dump-dom", str(address)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_a_desk_and_a_phone_show_all_of_it(page, tmp_path):
    text, console = browse(page.as_uri(), tmp_path / "desk", "--window-size=1280,2000")
    assert console == []
    assert len(re.findall("<section id=", text)) == len(SECTIONS)
    assert text.count('<div class="chart') == len(re.findall(r'class="chart[^>]*>\s*<(?:details|svg|div)', text)) > 0
    (tmp_path / "phone.html").write_text(PHONE.format(page=page.as_uri()))
    text, console = browse((tmp_path / "phone.html").as_uri(), tmp_path / "phone", "--window-size=500,3000")
    assert console == []
    found = re.search(r'<pre id="found">(.*?)</pre>', text)[1]
    assert found.startswith('{"width":390,"wide":[],"charts":'), found
    assert not found.endswith('"charts":0}')
