"""The page in headless Chromium: it draws, follows links, fits a phone, turns dark, and runs nothing else."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from contragrad.page.write import write
from pages import HOSTILE, hostile, whole

PATIENCE = 120
PLOTS = ("table.svg", "fitness.svg", "accuracies.svg", "lineage.svg", "audit-1.svg")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PHONE, DESK = 360, 1280

VISIBLE = """
const marks = arguments[0].querySelectorAll("svg .role-mark path, svg .role-mark line");
const sizes = [...marks].map((mark) => mark.getBoundingClientRect());
return sizes.filter((size) => size.width + size.height > 1).length;
"""
"""How many marks of a plot take up room."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    found = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    if None in found.values():
        assert os.environ.get("CONTRAGRAD_BROWSER") != "required", f"CI needs a browser: {found}"
        pytest.skip("no chromium and chromedriver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = str(found["chromium"])
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(found["chromedriver"])))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def finished(browser: webdriver.Chrome, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(whole(tmp_path_factory.mktemp("finished")))


def opened(browser: webdriver.Chrome, path: Path, *, width: int = DESK, theme: str = "light") -> None:
    """Opens the page in a window of that width and waits until its plots are drawn."""
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width == PHONE}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    emulate(browser, theme)
    complaints(browser)
    browser.get(path.as_uri())
    wait(browser, theme)


def emulate(browser: webdriver.Chrome, theme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": theme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def wait(browser: webdriver.Chrome, theme: str) -> None:
    def drawn(driver: webdriver.Chrome) -> bool:
        places = plots(driver)
        return bool(places) and all(place.get_attribute("data-drawn") == theme for place in places)

    WebDriverWait(browser, PATIENCE).until(drawn)


def complaints(browser: webdriver.Chrome) -> list[dict[str, Any]]:
    """What the console has said since it was last asked."""
    found: list[dict[str, Any]] = browser.get_log("browser")  # type: ignore[no-untyped-call]
    return found


def plots(browser: webdriver.Chrome) -> list[WebElement]:
    return browser.find_elements(By.CSS_SELECTOR, "[data-specification]")


def asked(browser: webdriver.Chrome, script: str) -> Any:
    return browser.execute_script(f"return {script}")


def test_every_plot_is_drawn_and_nothing_is_complained_of(browser: webdriver.Chrome, finished: Path) -> None:
    opened(browser, finished)
    assert [place.get_attribute("data-specification") for place in plots(browser)] == [
        f"{name}-specification" for name in PLOTS
    ]
    for place in plots(browser):
        assert browser.execute_script(VISIBLE, place) >= 5
    assert complaints(browser) == []
    requests = asked(browser, "performance.getEntriesByType('resource').map(entry => entry.name)")
    assert all(name.startswith("data:") for name in requests)


def test_pictures_are_shown(browser: webdriver.Chrome, finished: Path) -> None:
    opened(browser, finished)
    sizes = asked(browser, "[...document.images].map(image => [image.naturalWidth, image.alt])")
    assert len(sizes) >= 3
    assert all(width > 0 and text for width, text in sizes)


def test_links_lead_to_their_sections(browser: webdriver.Chrome, finished: Path) -> None:
    opened(browser, finished)
    links = browser.find_elements(By.CSS_SELECTOR, "nav a")
    assert len(links) == 12
    asked(browser, "document.documentElement.style.scrollBehavior = 'auto'")
    for link in links:
        link.click()
        target = str(link.get_attribute("href")).partition("#")[2]
        top, height = asked(
            browser,
            f"(box => [box.top, innerHeight])(document.getElementById('{target}').getBoundingClientRect())",
        )
        assert 0 <= top < height


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_phone_does_not_scroll_sideways(browser: webdriver.Chrome, finished: Path, theme: str) -> None:
    opened(browser, finished, width=PHONE, theme=theme)
    for folded in browser.find_elements(By.CSS_SELECTOR, "details.folded"):
        browser.execute_script("arguments[0].open = true", folded)
    assert asked(browser, "innerWidth") == PHONE
    assert asked(browser, "document.documentElement.scrollWidth") <= PHONE
    wide = asked(
        browser,
        "[...document.querySelectorAll('main *')].filter(each => !each.closest('.scroll, svg'))"
        f".filter(each => each.getBoundingClientRect().right > {PHONE} + 1).map(each => each.outerHTML)",
    )
    assert wide == []
    assert asked(browser, "[...document.querySelectorAll('.scroll')].some(each => each.scrollWidth > 360)")


def test_the_page_and_its_plots_turn_dark_with_the_system(browser: webdriver.Chrome, finished: Path) -> None:
    def colours() -> tuple[str, ...]:
        label = "document.querySelector('.plot .role-axis-label text')"
        return tuple(
            asked(browser, f"getComputedStyle({each}).{kind}")
            for each, kind in (
                ("document.body", "backgroundColor"),
                ("document.body", "color"),
                (label, "fill"),
            )
        )

    opened(browser, finished)
    light = colours()
    emulate(browser, "dark")
    wait(browser, "dark")
    dark = colours()
    assert light[0] == "rgb(255, 255, 255)"
    assert all(before != after for before, after in zip(light, dark, strict=True))
    assert complaints(browser) == []


def test_hostile_names_do_nothing(browser: webdriver.Chrome, tmp_path: Path) -> None:
    opened(browser, write(hostile(tmp_path)))
    # An alert would have stopped the driver.
    assert HOSTILE in browser.find_element(By.TAG_NAME, "body").text
    assert asked(browser, "document.querySelectorAll('[onerror]').length") == 0
    assert complaints(browser) == []
