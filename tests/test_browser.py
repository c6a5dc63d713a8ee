"""The report's HTML page in a real browser: nothing fails, nothing sticks out, links lead somewhere, folded parts open."""
import browser
import pytest
from task_filler import TaskFiller
from test_report_learning_rate import grid

import make_report

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(browser.find_missing()), reason=browser.find_missing())]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A report with two groups in each of two studies."""
    folder = tmp_path_factory.mktemp("report")
    fill = TaskFiller(folder / "results.db")
    for name in ("first_L-4", "second_uncased_L-4_H-256_A-4"):
        checkpoint = fill.checkpoint(name)
        grid(fill, checkpoint, {64: (0.711, 0.761, 0.754, 0.745), 128: (0.697, 0.758, 0.757, 0.751)})
        for size in (2, 8, 16):
            fill.cell(checkpoint, size, [300 - size, 301 - size, 303 - size])
    fill.store.close()
    assert make_report.main(["--html", "--db", str(folder / "results.db"), "--out", str(folder / "REPORT.md")]) == 0
    return f"file://{folder}/REPORT.html"


@pytest.fixture(scope="module")
def driver():
    driver = browser.start()
    yield driver
    driver.quit()


@pytest.fixture
def page(driver, address):
    """The report, freshly loaded."""
    driver.get("about:blank")
    driver.get(address)
    return driver


def test_no_error_and_every_picture_is_there(page):
    assert [entry for entry in page.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    shown = page.execute_script("return [...document.images].map(image => [image.complete, image.naturalWidth, image.alt])")
    assert len(shown) > 8 and all(complete and width > 500 and alt for complete, width, alt in shown)


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out_and_tables_scroll_within_themselves(page, width):
    browser.set_width(page, width)
    page.execute_script("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    tables = page.execute_script("return [...document.querySelectorAll('.scroll')].map(t => [t.clientWidth, t.scrollWidth])")
    assert len(tables) > 10 and all(0 < seen <= width for seen, _ in tables)
    if width == 390:
        assert any(whole > seen for seen, whole in tables)


@pytest.mark.parametrize("width", [390, 1280])
def test_the_navigation_stays(page, width):
    browser.set_width(page, width)
    page.execute_script("window.scrollTo(0, 5000)")
    top = page.execute_script("return document.querySelector('nav').getBoundingClientRect().top")
    assert page.execute_script("return window.scrollY") > 1000 and abs(top) < 1


def test_every_link_has_its_target(page):
    links = page.execute_script("return [...document.links].map(link => link.getAttribute('href'))")
    inner = [link[1:] for link in links if link.startswith("#")]
    assert len(inner) > 30 and all(link.startswith(("#", "https://")) for link in links)
    assert page.execute_script("return arguments[0].filter(name => !document.getElementById(name))", inner) == []


def test_a_link_opens_the_folded_parts_that_it_leads_into(page):
    name = page.execute_script("return document.querySelector('details h4 a[id]').id")
    is_open = "return document.getElementById(arguments[0]).closest('details').open"
    assert page.execute_script(is_open, name) is False
    page.execute_script("location.hash = arguments[0]", name)
    page.execute_async_script("setTimeout(arguments[0], 100)")
    assert page.execute_script(is_open, name) is True
    place = page.execute_script("return document.getElementById(arguments[0]).getBoundingClientRect().top", name)
    assert 0 <= place < 300


def test_light_and_dark(page):
    def colours(scheme):
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
        return page.execute_script("const style = getComputedStyle(document.body); return [style.color, style.backgroundColor]")

    assert colours("light") == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]
    assert colours("dark") == ["rgb(255, 255, 255)", "rgb(27, 27, 27)"]
